"""The program: command line, settings, start-up, supervision and backup. It knows all rooms; no room knows it."""
