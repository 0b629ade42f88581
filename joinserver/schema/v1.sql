-- join.db, version 1. Keys are wrapped with AES Key Wrap (RFC 3394) under the key-encryption key: 24 bytes for one key.
-- EUIs are 8 bytes, most significant first. Times are microseconds UTC since 1970.

CREATE TABLE state (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    kek_check   BLOB    NOT NULL,             -- a known block wrapped under the KEK: tells a wrong KEK at the start
    epoch       INTEGER NOT NULL DEFAULT 0,   -- rises after every unclean stop and every restore
    in_use      INTEGER NOT NULL DEFAULT 0    -- 1 from open to clean close
) STRICT;

CREATE TABLE device (
    dev_eui       BLOB    NOT NULL PRIMARY KEY CHECK (length(dev_eui) = 8),
    join_eui      BLOB    NOT NULL CHECK (length(join_eui) = 8),
    app_key       BLOB    CHECK (length(app_key) = 24),
    nwk_key       BLOB    CHECK (length(nwk_key) = 24),
    home_net_id   INTEGER CHECK (home_net_id BETWEEN 0 AND 0xFFFFFF),
    created_at_us INTEGER NOT NULL,
    CHECK (app_key IS NOT NULL OR nwk_key IS NOT NULL)
) STRICT, WITHOUT ROWID;

-- Every device has a row for its JoinEUI. The row outlives the device's: one that is deleted and added again goes on
-- where it stood.
CREATE TABLE nonces (
    dev_eui         BLOB    NOT NULL CHECK (length(dev_eui) = 8),
    join_eui        BLOB    NOT NULL CHECK (length(join_eui) = 8),
    next_join_nonce INTEGER NOT NULL CHECK (next_join_nonce BETWEEN 0 AND 0x1000000),
    epoch           INTEGER NOT NULL,         -- state.epoch when next_join_nonce was written
    used_dev_nonces BLOB    NOT NULL DEFAULT x'',
    next_rj_count1  INTEGER NOT NULL DEFAULT 0 CHECK (next_rj_count1 BETWEEN 0 AND 0x10000),
    last_dev_nonce  INTEGER,
    last_join_at_us INTEGER,
    PRIMARY KEY (dev_eui, join_eui)
) STRICT, WITHOUT ROWID;

-- The newest sessions of a device: AppSKey for an application server that asks, SNwkSIntKey for rejoin types 0 and 2.
CREATE TABLE session (
    dev_eui          BLOB    NOT NULL CHECK (length(dev_eui) = 8),
    join_eui         BLOB    NOT NULL CHECK (length(join_eui) = 8),
    join_nonce       INTEGER NOT NULL,
    created_at_us    INTEGER NOT NULL,
    app_s_key        BLOB    NOT NULL CHECK (length(app_s_key) = 24),
    s_nwk_s_int_key  BLOB    CHECK (length(s_nwk_s_int_key) = 24),   -- 1.1 only
    next_rj_count0   INTEGER NOT NULL DEFAULT 0 CHECK (next_rj_count0 BETWEEN 0 AND 0x10000),
    PRIMARY KEY (dev_eui, join_eui, join_nonce)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    id      INTEGER PRIMARY KEY,
    at_us   INTEGER NOT NULL,
    who     TEXT    NOT NULL CHECK (who <> ''),
    action  TEXT    NOT NULL,
    dev_eui BLOB,                             -- NULL: the whole file
    why     TEXT    NOT NULL CHECK (why <> ''),
    detail  TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX audit_of_device ON audit (dev_eui, id);
CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit rows are never changed'); END;
CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit rows are never deleted'); END;
