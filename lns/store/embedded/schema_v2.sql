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

-- -------------------------------------------------------------------------------------------------- frame log
