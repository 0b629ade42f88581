-- Version 2. A section a part of the server; see schema_v1.sql for the rest.

-- ------------------------------------------------------------------------------------------------- MAC layer

ALTER TABLE session ADD COLUMN adr BLOB NOT NULL DEFAULT x'';  -- lns.adr.memory.Memory

CREATE TABLE adr_decision (  -- the last changes asked of a device, few for each
    device_id INTEGER NOT NULL,
    time_us   INTEGER NOT NULL,
    reason    TEXT NOT NULL,  -- internalapi.adr.AdrReason, packed
    PRIMARY KEY (device_id, time_us)
) WITHOUT ROWID;

-- ------------------------------------------------------------------------------ queue, classes B and C, multicast

ALTER TABLE queue_item ADD COLUMN attempts      INTEGER NOT NULL DEFAULT 3;
ALTER TABLE queue_item ADD COLUMN at_most_once  INTEGER NOT NULL DEFAULT 0;
ALTER TABLE queue_item ADD COLUMN session_id    INTEGER NOT NULL DEFAULT 0;  -- of f_cnt_down
ALTER TABLE queue_item ADD COLUMN attempts_made INTEGER NOT NULL DEFAULT 0;
ALTER TABLE queue_item ADD COLUMN not_before_us INTEGER NOT NULL DEFAULT 0;
ALTER TABLE queue_item ADD COLUMN encrypted_f_cnt INTEGER;  -- data is encrypted for this FCntDown; NULL: by the server

CREATE TABLE multicast_group (
    id               TEXT PRIMARY KEY,
    name             TEXT NOT NULL,
    mc_addr          INTEGER NOT NULL,
    sealed_keys      BLOB NOT NULL,
    device_class     TEXT NOT NULL,
    dr               INTEGER NOT NULL,
    frequency_hz     INTEGER NOT NULL,
    ping_periodicity INTEGER NOT NULL,
    f_cnt_down       INTEGER NOT NULL,  -- next to use
    gateways         TEXT NOT NULL,     -- JSON list of EUIs; empty: the fewest that reach all members
    created_at_us    INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE multicast_member (
    group_id TEXT NOT NULL,
    dev_eui  BLOB NOT NULL,
    PRIMARY KEY (group_id, dev_eui)
) WITHOUT ROWID;
CREATE TABLE multicast_item (
    seq             INTEGER PRIMARY KEY,
    id              TEXT NOT NULL UNIQUE,
    group_id        TEXT NOT NULL,
    f_port          INTEGER NOT NULL,
    data            BLOB NOT NULL,
    state           TEXT NOT NULL,
    reason          TEXT NOT NULL,
    created_at_us   INTEGER NOT NULL,
    expires_at_us   INTEGER,
    f_cnt_down      INTEGER,
    idempotency_key TEXT
);
CREATE INDEX multicast_item_by_group ON multicast_item (group_id, seq);
CREATE UNIQUE INDEX multicast_item_by_key ON multicast_item (group_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TABLE listener (  -- devices of the classes B and C
    device_id INTEGER PRIMARY KEY,
    gateways  BLOB NOT NULL  -- MessagePack of (EUI, SNR, RSSI, time) of those that heard it lately
);

-- ---------------------------------------------------------------------------------------- gateways and their airtime

CREATE TABLE airtime (
    frame_id INTEGER PRIMARY KEY,
    wall_us  INTEGER NOT NULL,  -- when the row was written, by both clocks
    mono_us  INTEGER NOT NULL,
    ways     BLOB NOT NULL      -- MessagePack [[gateway, frequency_hz, start_us after the row's moment, airtime_us], ...]:
);                              -- what may have been sent or, once it is known, what was

CREATE TABLE gateway_hour (
    eui          BLOB NOT NULL,
    hour         INTEGER NOT NULL,  -- since 1970 UTC
    uplinks      INTEGER NOT NULL,
    bad_crc      INTEGER NOT NULL,
    online_s     INTEGER NOT NULL,
    rtts         INTEGER NOT NULL,  -- round trips measured, their sum, least and most
    rtt_sum_us   INTEGER NOT NULL,
    rtt_least_us INTEGER,
    rtt_most_us  INTEGER,
    ackrs        INTEGER NOT NULL,  -- times that the gateway told its ackr, and their sum, tenths of a percent
    ackr_sum     INTEGER NOT NULL,
    PRIMARY KEY (eui, hour)
) WITHOUT ROWID;

CREATE TABLE gateway_part (
    eui   BLOB NOT NULL,
    hour  INTEGER NOT NULL,
    part  TEXT NOT NULL,     -- an outcome of downlinks (value: how many), or the lower edge of a sub-band, Hz (airtime, us)
    value INTEGER NOT NULL,
    PRIMARY KEY (eui, hour, part)
) WITHOUT ROWID;

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

-- ---------------------------------------------------------------------------------------------------- counters

CREATE TABLE f_cnt_reset (
    session_id INTEGER PRIMARY KEY,
    before     INTEGER NOT NULL  -- next FCntUp expected before the last reset, 0: none
);

-- Frames taken of sessions whose device may lose its counter: none is ever taken twice.
CREATE TABLE taken_mic (
    session_id INTEGER NOT NULL,
    mic        BLOB NOT NULL,
    PRIMARY KEY (session_id, mic)
) WITHOUT ROWID;

-- -------------------------------------------------------------------------------------------------- frame log

ALTER TABLE event ADD COLUMN way BLOB NOT NULL DEFAULT x'';  -- of an uplink: lns.uplink.way
CREATE INDEX session_by_device ON session (device_id, dev_addr) WHERE ended = 0;
DROP INDEX frame_by_device;  -- old frames are packed in files of their own, and the few here are read as a whole
