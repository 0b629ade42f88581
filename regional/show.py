"""Region plans as plain text tables, for `meterwan region list` and `meterwan region show NAME`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap

from regional import library as _default_library
from regional.library import Library
from regional.plan import Plan
from regional.types import Channel, SubBand

WIDTH = 100


def list_text(library: Library | None = None) -> str:
    """One line for each plan: its name, kind, range, revision and where it comes from."""
    plans = library or _default_library()
    rows = [("Name", "Kind", "MHz", "Channels", "RX2", "Follows", "")]
    for name in plans.names():
        plan = plans.plan(name)
        rows.append(
            (
                name,
                "fixed" if plan.is_fixed else "dynamic",
                _range(plan),
                str(len(plan.default_channels)),
                f"{_mhz(plan.rx2_frequency_hz)} DR{plan.rx2_dr}",
                plan.revision,
                ", ".join(_remarks(plan, own=plans.is_own(name))),
            )
        )
    return "\n".join(_table(rows)) + "\n"


def plan_text(plan: Plan) -> str:
    """A whole plan: facts, channels, sub-bands, data rates, RX1 table, power, differences by revision, sources."""
    parts = [
        _head(plan),
        _section("Channels", _channels(plan)),
        _section("Presets (extra channels)" if not plan.is_fixed else "Presets (channels on)", _presets(plan)),
        _section("Sub-bands (each transmitter by itself)", _sub_bands(plan.sub_bands)),
        _section("Uplink data rates" if _has_own_downlink(plan) else "Data rates", _rates(plan, False)),
        _section("Downlink data rates", _rates(plan, True) if _has_own_downlink(plan) else []),
        _section("RX1 data rate by RX1DROffset", _rx1(plan.rx1_drs, plan)),
        _section(
            "RX1 data rate by RX1DROffset with DownlinkDwellTime",
            _rx1(plan.rx1_drs_dwell, plan) if plan.rx1_drs_dwell != plan.rx1_drs else [],
        ),
        _section("TXPower", _power(plan)),
        _section("Differences by revision", _differences(plan)),
        _section("Sources", [line for source in plan.sources for line in _bullet(source)]),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _head(plan: Plan) -> list[str]:
    beacon = ", ".join(_mhz(hz) for hz in plan.class_b.beacon_frequencies_hz)
    ping = ", ".join(_mhz(hz) for hz in plan.class_b.ping_slot_frequencies_hz)
    facts = [
        ("Follows", plan.revision + ("" if plan.official else " (not a plan of the Regional Parameters)")),
        ("Kind", "fixed: channels are switched" if plan.is_fixed else "dynamic: channels are added"),
        ("Range", f"{_range(plan)} MHz"),
        ("Channels in a device", str(plan.max_channels)),
        ("RX1", f"{plan.receive_delay1_s} s after the uplink, a join-accept after {plan.join_accept_delay1_s} s"),
        (
            "RX2",
            f"{_mhz(plan.rx2_frequency_hz)} MHz DR{plan.rx2_dr}, after {plan.receive_delay2_s} s, "
            f"a join-accept after {plan.join_accept_delay2_s} s",
        ),
        ("MaxEIRP", f"{plan.max_eirp_dbm:g} dBm"),
        ("CFList", ", ".join(f"type {n}" for n in plan.cflist_types) or "none"),
        ("ChMaskCntl", ", ".join(f"{n}: {text}" for n, text in enumerate(plan.ch_mask_cntl) if text)),
        ("TxParamSetupReq", "yes" if plan.tx_param_setup else "no"),
        ("Beacon", f"{beacon} MHz DR{plan.class_b.beacon_dr}" if beacon else "none"),
        ("Ping slot", f"{ping} MHz" + _dr(plan.class_b.ping_slot_dr) if ping else "none"),
    ]
    width = max(len(name) for name, _ in facts) + 2
    lines = [f"{plan.name}  {plan.title}"]
    lines += wrap(plan.note, WIDTH)
    for name, text in facts:
        first, *more = wrap(text, WIDTH - width) or [""]
        lines.append(f"{name:<{width}}{first}")
        lines += [" " * width + line for line in more]
    return lines


def _channels(plan: Plan) -> list[str]:
    rows = [("Use", "MHz", "Data rates", "Number")]
    rows += _channel_rows("uplink" if plan.is_fixed else "default", plan.default_channels, numbered=True)
    if plan.is_fixed:
        rows += [("downlink", text, "", numbers) for text, numbers in _runs(plan.downlink_frequencies_hz)]
    rows += _channel_rows("join", plan.join_channels, numbered=False)
    rows += [
        ("relay", f"{_mhz(relay.frequency_hz)}, answer {_mhz(relay.ack_frequency_hz)}", f"DR{relay.dr}", "")
        for relay in plan.relay_channels
    ]
    return _table(rows)


def _channel_rows(use: str, channels: Sequence[Channel], numbered: bool) -> list[tuple[str, str, str, str]]:
    rows = []
    first = 0
    while first < len(channels):
        rates = channels[first][1:]
        last = first
        while last + 1 < len(channels) and channels[last + 1][1:] == rates:
            last += 1
        group = [channel.frequency_hz for channel in channels[first : last + 1]]
        drs = f"DR{rates[0]}" if rates[0] == rates[1] else f"DR{rates[0]}-DR{rates[1]}"
        rows += [(use, text, drs, numbers if numbered else "") for text, numbers in _runs(group, first)]
        first = last + 1
    return rows


def _runs(frequencies_hz: Sequence[int], number: int = 0) -> Iterator[tuple[str, str]]:
    """Long even series in short, as ("902.3 to 914.9 by 0.2", "0-63")."""
    at = 0
    while at < len(frequencies_hz):
        rest = frequencies_hz[at:]
        step = rest[1] - rest[0] if len(rest) > 1 else 0
        length = 1
        while length < len(rest) and rest[length] == rest[0] + length * step:
            length += 1
        if length < 4:
            yield _mhz(rest[0]), str(number + at)
            at += 1
        else:
            last = number + at + length - 1
            yield f"{_mhz(rest[0])} to {_mhz(rest[length - 1])} by {_mhz(step)}", f"{number + at}-{last}"
            at += length


def _presets(plan: Plan) -> list[str]:
    rows = [("Name", "MHz")]
    for name, frequencies_hz in plan.presets.items():
        rows.append(
            (name, "; ".join(text for text, _ in _runs(frequencies_hz)) or ("all" if plan.is_fixed else "none"))
        )
    return _table(rows) if len(rows) > 1 else []


def _sub_bands(bands: Sequence[SubBand]) -> list[str]:
    if not bands:
        return ["none: no limit by time on air"]
    rows = [("MHz", "Duty cycle", "Air time an hour", "Power")]
    for band in bands:
        limited = band.duty_cycle < 1
        rows.append(
            (
                f"{_mhz(band.min_hz)}-{_mhz(band.max_hz)}",
                f"{band.duty_cycle * 100:g} %" if limited else "no limit",
                f"{band.airtime_us() / 1e6:g} s" if limited else "",
                f"{band.max_eirp_dbm:g} dBm EIRP",
            )
        )
    return _table(rows)


def _rates(plan: Plan, downlink: bool) -> list[str]:
    rates = plan.downlink_data_rates if downlink else plan.data_rates
    dwell = any(plan.max_payload(dr, dwell=True) != plan.max_payload(dr) for dr in range(len(rates))) and not downlink
    rows: list[tuple[str, ...]] = [
        (
            "DR",
            "Modulation",
            "bit/s",
            "FRMPayload",
            "with repeater",
            *(["dwell 400 ms"] if dwell else []),
            "SNR floor",
            "slower",
        )
    ]
    for dr, rate in enumerate(rates):
        if rate is None:
            continue
        word = f"FSK {rate.datr}" if isinstance(rate.datr, int) else f"{rate.datr} {rate.codr}"
        snr = plan.required_snr_db(dr) if not downlink else None
        lower = plan.next_lower_dr(dr) if not downlink else None
        rows.append(
            (
                str(dr),
                word,
                str(rate.bitrate),
                f"{plan.max_payload(dr, downlink=downlink)} B",
                f"{plan.max_payload(dr, repeater=True, downlink=downlink)} B",
                *([f"{plan.max_payload(dr, dwell=True)} B"] if dwell else []),
                "" if snr is None else f"{snr:g} dB",
                "" if lower is None else f"DR{lower}",
            )
        )
    return _table(rows)


def _rx1(table: Sequence[Sequence[int]], plan: Plan) -> list[str]:
    rows = [("Uplink", *(str(offset) for offset in range(plan.max_rx1_dr_offset + 1)))]
    rows += [(f"DR{dr}", *(str(rx1_dr) for rx1_dr in row)) for dr, row in enumerate(table) if row]
    return _table(rows)


def _power(plan: Plan) -> list[str]:
    indices = range(plan.max_tx_power_index + 1)
    return _table([("Index", *map(str, indices)), ("dBm", *(f"{plan.tx_power_dbm(index):g}" for index in indices))])


def _differences(plan: Plan) -> list[str]:
    lines = []
    for difference in plan.differences:
        lines += _bullet(f"up to {difference.until}: {difference.what}")
    return lines


def _bullet(text: str) -> list[str]:
    return wrap(text, WIDTH, initial_indent="- ", subsequent_indent="  ")


def _section(title: str, lines: list[str]) -> list[str]:
    return [title, "-" * len(title), *lines] if lines else []


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns as wide as they need; the first row is the head."""
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [lines[0], "  ".join("-" * width for width in widths if width), *lines[1:]]


def _remarks(plan: Plan, own: bool) -> Iterator[str]:
    if own:
        yield "own file"
    if not plan.official:
        yield "not of the LoRa Alliance"
    if plan.note.startswith("Deprecated"):
        yield "deprecated"


def _has_own_downlink(plan: Plan) -> bool:
    pairs = zip(plan.data_rates, plan.downlink_data_rates, strict=True)
    return any(down is not None and down != up for up, down in pairs)


def _range(plan: Plan) -> str:
    return "-".join(_mhz(hz) for hz in plan.frequency_range_hz) if plan.frequency_range_hz else ""


def _mhz(hz: int) -> str:
    return f"{hz / 1e6:.4f}".rstrip("0").rstrip(".")


def _dr(dr: int | None) -> str:
    return "" if dr is None else f" DR{dr}"
