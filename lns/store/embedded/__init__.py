"""The embedded house: one SQLite file, one writer, group commit (WAL, ``synchronous=FULL``)."""
