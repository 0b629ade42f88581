-- gar.db: regions of the state address register. Made again by an import, so it is in no backup.

CREATE TABLE region (
  code TEXT PRIMARY KEY,        -- two digits
  name TEXT NOT NULL,
  stamp TEXT NOT NULL,          -- day of the extract, 20260903
  hierarchy TEXT NOT NULL,      -- adm or mun
  imported_at_us INTEGER NOT NULL,
  places INTEGER NOT NULL,
  houses INTEGER NOT NULL,
  apartments INTEGER NOT NULL,
  old_guids INTEGER NOT NULL
);

CREATE TABLE object (
  id INTEGER PRIMARY KEY,       -- OBJECTID
  guid TEXT NOT NULL,           -- OBJECTGUID; HOUSEGUID and AOGUID of ФИАС
  region TEXT NOT NULL,
  level INTEGER NOT NULL,       -- 1 region … 8 street, 10 house, 11 premises
  type TEXT NOT NULL,
  name TEXT NOT NULL,
  number_key TEXT NOT NULL,     -- of a house: 12а/3
  parent INTEGER,
  active INTEGER NOT NULL,
  rank TEXT NOT NULL,           -- which of an object's records stands here
  postcode TEXT NOT NULL DEFAULT '',
  oktmo TEXT NOT NULL DEFAULT '',
  cadastral TEXT NOT NULL DEFAULT ''
);
CREATE INDEX ix_object_guid ON object (guid);
CREATE INDEX ix_object_parent ON object (parent, level, number_key);
CREATE INDEX ix_object_region ON object (region);

-- GUIDs that are no longer the one of a valid object, and the object that took over.
CREATE TABLE old_guid (
  guid TEXT PRIMARY KEY,
  id INTEGER NOT NULL,
  region TEXT NOT NULL,
  how TEXT NOT NULL             -- record, object, next, division, address
) WITHOUT ROWID;
CREATE INDEX ix_old_guid_region ON old_guid (region);

-- Words of the whole address of valid places down to the street.
CREATE VIRTUAL TABLE place USING fts5 (words, region UNINDEXED, tokenize = "unicode61 remove_diacritics 0 tokenchars '-/.'");
