"""Payload → measurements.

A codec is a pure function with a name and a version: bytes in, :class:`Decoded` out, :class:`CodecError` for anything
that is not such a payload. Clocks stay as the device tells them (naive); ``metering.timebase`` makes moments of them.
"""

from appserver.codecs.base import Codec, CodecError, CommandError, Decoded, Measurement
from appserver.codecs.registry import CODECS, decode, encode, names

__all__ = ["CODECS", "Codec", "CodecError", "CommandError", "Decoded", "Measurement", "decode", "encode", "names"]
