-- The network server's journal. EUIs are 8 bytes, most significant first; times are microseconds since 1970 UTC.

CREATE TABLE mark (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE profile (
    name TEXT PRIMARY KEY,
    body TEXT NOT NULL  -- JSON, fields of internalapi ProfileWrite
) WITHOUT ROWID;

CREATE TABLE gateway (
    eui           BLOB PRIMARY KEY,
    body          TEXT NOT NULL,  -- JSON, fields of internalapi GatewayWrite
    created_at_us INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE device (
    id            INTEGER PRIMARY KEY,
    dev_eui       BLOB NOT NULL UNIQUE,
    join_eui      BLOB NOT NULL,
    name          TEXT NOT NULL,
    profile       TEXT NOT NULL REFERENCES profile(name),
    activation    TEXT NOT NULL,
    tags          TEXT NOT NULL,
    disabled      INTEGER NOT NULL,
    created_at_us INTEGER NOT NULL,
    battery       INTEGER,
    margin_db     INTEGER,
    status_us     INTEGER
);

CREATE TABLE session (
    id               INTEGER PRIMARY KEY,
    device_id        INTEGER NOT NULL,
    dev_addr         INTEGER NOT NULL,
    lorawan_1_1      INTEGER NOT NULL,
    sealed_keys      BLOB NOT NULL,
    activated_at_us  INTEGER NOT NULL,
    ended            INTEGER NOT NULL DEFAULT 0,
    confirmed        INTEGER NOT NULL DEFAULT 0,
    f_cnt_up         INTEGER NOT NULL DEFAULT 0,  -- next expected
    replay_window    BLOB NOT NULL DEFAULT x'',
    last_mic         BLOB NOT NULL DEFAULT x'',
    last_frame_id    INTEGER NOT NULL DEFAULT 0,
    n_f_cnt_down     INTEGER NOT NULL DEFAULT 0,  -- next to use
    a_f_cnt_down     INTEGER NOT NULL DEFAULT 0,
    conf_f_cnt_down  INTEGER NOT NULL DEFAULT 0,
    radio            TEXT NOT NULL DEFAULT '',
    dr               INTEGER,
    tx_power         INTEGER NOT NULL DEFAULT 0,
    nb_trans         INTEGER NOT NULL DEFAULT 1,
    adr_reason       TEXT NOT NULL DEFAULT '',
    last_seen_us     INTEGER,
    rssi_dbm         REAL,
    snr_db           REAL,
    gateways         INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE frame (
    id           INTEGER PRIMARY KEY,
    kind         TEXT NOT NULL,  -- up, late, down, join_request, join_accept, rejoin_request
    time_us      INTEGER NOT NULL,
    device_id    INTEGER NOT NULL,
    session_id   INTEGER NOT NULL,
    dev_addr     INTEGER,
    f_cnt        INTEGER,
    f_port       INTEGER,
    confirmed    INTEGER NOT NULL,
    frequency_hz INTEGER NOT NULL,
    datr         TEXT NOT NULL,
    phy          BLOB NOT NULL,
    detail       BLOB NOT NULL,  -- uplink: the first reception; downlink: the timeline
    gateway      TEXT NOT NULL,
    reply_to     INTEGER NOT NULL,
    outcome      TEXT NOT NULL
);
CREATE INDEX frame_by_device ON frame (device_id, id);

CREATE TABLE event (
    id        INTEGER PRIMARY KEY,
    frame_id  INTEGER NOT NULL,
    device_id INTEGER NOT NULL,
    body      BLOB NOT NULL  -- MessagePack of internalapi Event
);
CREATE INDEX event_by_frame ON event (frame_id);

CREATE TABLE queue_item (
    seq             INTEGER PRIMARY KEY,
    id              TEXT NOT NULL UNIQUE,
    dev_eui         BLOB NOT NULL,
    f_port          INTEGER NOT NULL,
    data            BLOB NOT NULL,
    confirmed       INTEGER NOT NULL,
    state           TEXT NOT NULL,
    reason          TEXT NOT NULL,
    created_at_us   INTEGER NOT NULL,
    expires_at_us   INTEGER,
    f_cnt_down      INTEGER,
    idempotency_key TEXT
);
CREATE INDEX queue_item_by_device ON queue_item (dev_eui, seq);
CREATE UNIQUE INDEX queue_item_by_key ON queue_item (dev_eui, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TABLE audit (
    id      INTEGER PRIMARY KEY,
    time_us INTEGER NOT NULL,
    who     TEXT NOT NULL,
    what    TEXT NOT NULL
);
