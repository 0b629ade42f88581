"""The table of built-in codecs. A version rises with every change of what a codec gives for the same bytes."""

from __future__ import annotations

from appserver.codecs import karat, mbus_meters, vega
from appserver.codecs.base import Codec, CodecError, Decoded

CODECS = {
    codec.name: codec
    for codec in (
        Codec("karat", 1, "НПО КАРАТ: 926LW", karat.decode_926lw, "local"),
        Codec("vega-si-11", 1, "Вега СИ-11, rev. 1", vega.decode_si11_r1, "utc"),
        Codec("vega-si-11-r2", 1, "Вега СИ-11, rev. 2", vega.decode_si11_r2, "utc"),
        Codec("sontex-7x9", 1, "Sontex 7x9 (M-Bus)", mbus_meters.decode_sontex, "local"),
        Codec("elvaco-cmi41", 1, "Elvaco CMi41xx (M-Bus)", mbus_meters.decode_elvaco, "local"),
        Codec("mbus-water", 1, "Kamstrup flowIQ, Sensus iPERL (M-Bus)", mbus_meters.decode_water, "local"),
        Codec("mbus-wired", 1, "M-Bus: кадр проводной шины", mbus_meters.decode_wired, "local"),
    )
}


def names() -> list[str]:
    """Names of all codecs."""
    return list(CODECS)


def decode(codec: str, f_port: int | None, data: bytes, received_at_us: int) -> Decoded:
    """What ``data`` says according to ``codec``. ``received_at_us`` is for codecs that count back from the reception.

    Raises CodecError when there is no such codec, no port, or the bytes are not such a payload.
    """
    entry = CODECS.get(codec)
    if entry is None:
        raise CodecError(f"there is no codec {codec!r}" if codec else "the device's profile has no codec")
    if f_port is None:
        raise CodecError("the frame has no port, so no application data")
    return entry.decode(f_port, data)
