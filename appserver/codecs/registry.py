"""The table of codecs. A version of a built-in one rises with every change of what a codec gives for the same bytes."""

from __future__ import annotations

from typing import Any

from appserver.codecs import (
    adeunis,
    axioma,
    betar,
    cayenne,
    jooby,
    karat_commands,
    karat_meters,
    mbus_meters,
    milesight,
    nas,
    small_meters,
    spbzip,
    vega,
    vega_commands,
    vega_meters,
    vega_more,
    vega_si23,
)
from appserver.codecs.base import Codec, CodecError, CommandError, Decoded

CODECS = {
    codec.name: codec
    for codec in (
        Codec("karat", 2, "НПО КАРАТ: 926LW", karat_meters.decode_926lw, "local", karat_commands.encode),
        Codec(
            "karat-meter",
            2,
            "НПО КАРАТ: 306/307/308 (929LW), 213, 223, э/э",
            karat_meters.decode_meter,
            "local",
            karat_commands.encode,
        ),
        Codec("vega-si-11", 1, "Вега СИ-11, rev. 1", vega.decode_si11_r1, "utc", vega_commands.encode),
        Codec("vega-si-11-r2", 1, "Вега СИ-11, rev. 2", vega.decode_si11_r2, "utc", vega_commands.encode),
        Codec("vega-si-12", 1, "Вега СИ-12", vega_meters.decode_si12, "utc", vega_commands.encode_si12),
        Codec("vega-si-13", 1, "Вега СИ-13", vega_more.decode_si13, "utc", vega_commands.encode),
        Codec("vega-si-22", 1, "Вега СИ-22", vega_meters.decode_si22, "utc", vega_commands.encode),
        Codec("vega-si-23", 1, "Вега СИ-23", vega_si23.decode_si23, "utc", vega_commands.encode),
        Codec("vega-td-11", 1, "Вега ТД-11", vega_meters.decode_td11, "utc", vega_commands.encode),
        Codec("vega-tp-11", 1, "Вега ТП-11", vega_meters.decode_tp11, "utc", vega_commands.encode),
        Codec("vega-tl-11", 1, "Вега ТЛ-11", vega_meters.decode_tl11, "utc", vega_commands.encode),
        Codec("vega-sh-2", 1, "Вега SH-2", vega_more.decode_sh2, "utc", vega_commands.encode),
        Codec("vega-gm-2", 1, "Вега ГМ-2", vega_meters.decode_gm2, "utc", vega_commands.encode),
        Codec("vega-m-bus-1", 1, "Вега M-BUS-1", vega_meters.decode_mbus1, "utc", vega_commands.encode),
        Codec("vega-m-bus-2", 1, "Вега M-BUS-2", vega_meters.decode_mbus2, "utc", vega_commands.encode),
        Codec("betar-water", 1, "Бетар СХВЭ, СГВЭ", betar.decode_water, "utc", vega_commands.encode),
        Codec("betar-gas", 1, "Бетар СГБМ", betar.decode_gas, "utc", vega_commands.encode),
        Codec("spbzip", 1, "СПбЗИП ЦЭ2726А, ЦЭ2727А", spbzip.decode, "utc"),
        Codec("axioma-w1", 1, "Axioma Qalcosonic W1", axioma.decode_w1, "utc"),
        Codec("sontex-7x9", 1, "Sontex 7x9 (M-Bus)", mbus_meters.decode_sontex, "local"),
        Codec("elvaco-cmi41", 1, "Elvaco CMi41xx (M-Bus)", mbus_meters.decode_elvaco, "local"),
        Codec("mbus-water", 1, "Kamstrup flowIQ, Sensus iPERL (M-Bus)", mbus_meters.decode_water, "local"),
        Codec("adeunis-pulse", 1, "Adeunis Pulse (ARF8230AA, Pulse 4)", adeunis.decode_pulse, "local"),
        Codec("zenner-water", 1, "Zenner: водосчётчики", small_meters.decode_zenner, "utc"),
        Codec("gwf", 1, "GWF RCM-LRW10", small_meters.decode_gwf, "utc"),
        Codec("holley-dtz541", 1, "Holley DTZ541", small_meters.decode_holley, "utc"),
        Codec("bmeters-iwm", 1, "B METERS IWM-LR3, IWM-LR4", small_meters.decode_iwm, "utc"),
        Codec("nas-um30x3", 1, "NAS UM3023, UM3033", nas.decode_um30x3, "local"),
        Codec("milesight-uc300", 1, "Milesight UC300", milesight.codec(milesight.UC300), "utc"),
        Codec("milesight-em300-di", 1, "Milesight EM300-DI", milesight.codec(milesight.EM300_DI), "utc"),
        Codec("milesight-em500-pp", 1, "Milesight EM500-PP", milesight.codec(milesight.EM500_PP), "utc"),
        Codec("milesight-ct101", 1, "Milesight CT101", milesight.codec(milesight.CT101), "utc"),
        Codec("jooby-pulse", 1, "Jooby: счётчики импульсов", jooby.codec(jooby.PULSE_STATUS), "local"),
        Codec("jooby-gas", 1, "Jooby GAZI3", jooby.codec(jooby.GAS_STATUS), "local"),
        Codec("jooby-mtx", 1, "Jooby MTX LORA", jooby.codec(jooby.MTX_STATUS), "local"),
        Codec("cayenne-lpp", 1, "Cayenne LPP", cayenne.decode_lpp, "utc"),
        Codec("mbus-wired", 1, "M-Bus: кадр проводной шины", mbus_meters.decode_wired, "local"),
    )
}

BUILT_IN = frozenset(CODECS)
"""Names of the program's own codecs; the others come from the user's folder (``library``)."""


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
    return entry.decode(f_port, data, received_at_us)


def encode(codec: str, command: dict[str, Any]) -> tuple[int, bytes]:
    """The port and the bytes that ``codec`` makes of a command.

    Raises CommandError when there is no such codec, it sends nothing to devices, or the command is not one of its own.
    """
    entry = CODECS.get(codec)
    if entry is None:
        raise CommandError(f"there is no codec {codec!r}" if codec else "the device's profile has no codec")
    if entry.encode is None:
        raise CommandError(f"the codec {codec} does not encode downlinks; send data")
    return entry.encode(command)
