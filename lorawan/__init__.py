"""The LoRaWAN wire: identifiers, frames, MAC commands, cryptography, counters, airtime and time.

Pure values and functions: bytes in, values out. No sockets, no clock, no randomness. Names are those of the
specification (TS001, TS002, TS005, TS011) in snake_case; units are in names.

Two kinds of error leave this package: :class:`~lorawan.errors.FrameError` for garbage from outside and
:class:`~lorawan.errors.StateError` for misuse by our own code.
"""
