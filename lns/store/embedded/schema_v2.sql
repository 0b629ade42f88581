-- Version 2. A section a part of the server; see schema_v1.sql for the rest.

-- ------------------------------------------------------------------------------------------------- MAC layer

ALTER TABLE session ADD COLUMN adr BLOB NOT NULL DEFAULT x'';  -- lns.adr.memory.Memory

-- ------------------------------------------------------------------------------ queue, classes B and C, multicast

ALTER TABLE queue_item ADD COLUMN attempts      INTEGER NOT NULL DEFAULT 3;
ALTER TABLE queue_item ADD COLUMN at_most_once  INTEGER NOT NULL DEFAULT 0;
ALTER TABLE queue_item ADD COLUMN session_id    INTEGER NOT NULL DEFAULT 0;  -- of f_cnt_down
ALTER TABLE queue_item ADD COLUMN attempts_made INTEGER NOT NULL DEFAULT 0;
ALTER TABLE queue_item ADD COLUMN not_before_us INTEGER NOT NULL DEFAULT 0;

-- ---------------------------------------------------------------------------------------- gateways and their airtime

-- ------------------------------------------------------------------------------------- Basics Station, CUPS, MQTT

CREATE TABLE station_token (
    hash          BLOB PRIMARY KEY,  -- SHA-256 of the token
    eui           BLOB NOT NULL,
    purpose       TEXT NOT NULL,     -- lns, cups
    sealed        BLOB NOT NULL,     -- its 32 bytes under the key-encryption key, for CUPS to hand out
    created_at_us INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX station_token_by_eui ON station_token (eui);

CREATE TABLE firmware (
    name          TEXT PRIMARY KEY,
    body          TEXT NOT NULL,     -- JSON, fields of internalapi FirmwareWrite
    created_at_us INTEGER NOT NULL
) WITHOUT ROWID;

-- -------------------------------------------------------------------------------------------------- frame log
