"""LoRa Basics Station: its LNS protocol over WebSockets, and CUPS, which hands out credentials and firmware."""
