"""From the tables of a plan file to a Plan: every key read, typed and checked (docs/regions.md lists them)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

from regional import common, link_adr
from regional.plan import Plan
from regional.reader import Table
from regional.types import (
    Channel,
    ClassB,
    DataRate,
    DataRates,
    Difference,
    DirectionLimits,
    JoinReply,
    Modulation,
    PerDataRate,
    PlanError,
    RelayChannel,
    SubBand,
)

_DATA_RATES: Final = 16
_MAX_CHANNELS: Final = 96  # what the masks of a CFList can name
_LORA: Final = re.compile(r"SF(\d{1,2})BW(\d{2,4})")
_LR_FHSS: Final = re.compile(r"M0CW(\d{2,4})")
_RANGE: Final = re.compile(r"(\d+)(?:-(\d+))?")


def build(values: Mapping[str, Any], source: str, revision: str) -> Plan:
    """Make the plan. Raises PlanError that names the source and the key of the first fault."""
    table = Table(values, source)
    name = table.text("name")
    kind = table.text("kind")
    if kind not in ("dynamic", "fixed"):
        table.fail("kind", f'expected "dynamic" or "fixed", got {kind!r}')
    is_fixed = kind == "fixed"
    rates = _Rates(table.table("data_rates"))
    down = _Rates(table.table("downlink_data_rates")) if "downlink_data_rates" in table else None
    if is_fixed:
        channels = _channels(table, "uplink_channels")
        downlink_hz = tuple(channel.frequency_hz for channel in _channels(table, "downlink_channels"))
        if not downlink_hz:
            table.fail("downlink_channels", "a fixed plan needs at least one")
    else:
        channels = _channels(table, "default_channels")
        downlink_hz = ()
    if not channels:
        table.fail("uplink_channels" if is_fixed else "default_channels", "a plan needs at least one")
    rx2 = table.table("rx2")
    lists = table.table("cflist")
    plan = Plan(
        name=name,
        title=table.text("title"),
        revision=revision,
        official=table.flag("official", True),
        note=table.text("note", ""),
        sources=table.texts("sources", ()),
        differences=_differences(table),
        is_fixed=is_fixed,
        frequency_range_hz=_pair(table, "frequency_range_hz"),
        frequency_step_hz=table.integer("frequency_step_hz", 100),
        max_channels=table.integer("max_channels", len(channels) if is_fixed else 16),
        max_eirp_dbm=table.number("max_eirp_dbm"),
        tx_power_offsets_db=table.numbers("tx_power_offsets_db"),
        rx2_frequency_hz=rx2.integer("frequency_hz"),
        rx2_dr=rx2.integer("dr"),
        data_rates=rates.rates,
        downlink_data_rates=(down or rates).downlink,
        uplink_limits=rates.limits,
        downlink_limits=(down or rates).limits,
        rx1_drs=rates.rx1,
        rx1_drs_dwell=rates.rx1_dwell,
        back_off=rates.back_off,
        default_channels=channels,
        join_channels=_channels(table, "join_channels"),
        downlink_frequencies_hz=downlink_hz,
        join_replies={
            row.integer("uplink_hz"): JoinReply(row.integer("rx1_hz"), row.integer("rx2_hz"))
            for row in _closing(table.tables("join_replies"))
        },
        presets=_presets(table.table("presets"), channels if is_fixed else ()),
        sub_bands=tuple(_sub_band(row, plan_max=values["max_eirp_dbm"]) for row in _closing(table.tables("sub_bands"))),
        whole_channel_in_sub_band=table.flag("whole_channel_in_sub_band", False),
        cflist_types=lists.integers("types", ()),
        cflist_fixed_list=lists.text("fixed_list", ""),
        ch_mask_cntl=_ch_mask_cntl(table),
        class_b=_class_b(table.table("class_b")),
        relay_channels=tuple(
            RelayChannel(row.integer("frequency_hz"), row.integer("ack_frequency_hz"), row.integer("dr"))
            for row in _closing(table.tables("relay_channels"))
        ),
        tx_param_setup=table.flag("tx_param_setup", False),
        uplink_dwell_at_boot=table.flag("uplink_dwell_at_boot", False),
        **{key: table.integer(key) for key in _TIMING if key in table},
    )
    table.text("since", "")  # these two are read by the library
    table.texts("aliases", ())
    for part in (rx2, lists, table):
        part.done()
    _check(plan, source)
    return plan


_TIMING: Final = (
    "receive_delay1_s",
    "receive_delay2_s",
    "join_accept_delay1_s",
    "join_accept_delay2_s",
    "adr_ack_limit",
    "adr_ack_delay",
    "max_fcnt_gap",
)


class _Rates:
    """The columns of a data-rate table."""

    __slots__ = ("back_off", "limits", "rates", "rx1", "rx1_dwell")

    def __init__(self, table: Table) -> None:
        self.rates: DataRates
        self.back_off: dict[int, int] = {}
        rates: list[DataRate | None] = [None] * _DATA_RATES
        rx1: list[PerDataRate] = [()] * _DATA_RATES
        rx1_dwell: list[PerDataRate] = [()] * _DATA_RATES
        m, m_repeater, m_dwell, m_dwell_repeater = ([0] * _DATA_RATES for _ in range(4))
        for key in table.keys():  # noqa: SIM118 (a Table is no mapping)
            dr = int(key) if key.isdecimal() else -1
            if not 0 <= dr < _DATA_RATES:
                table.fail(key, f"a data rate is 0 to {_DATA_RATES - 1}")
            row = table.table(key)
            rates[dr] = _data_rate(row)
            rx1[dr] = row.integers("rx1", ())
            rx1_dwell[dr] = row.integers("rx1_dwell", rx1[dr])
            m[dr] = row.integer("m")
            m_dwell[dr] = row.integer("m_dwell", m[dr])
            m_repeater[dr] = row.integer("m_repeater", min(m[dr], common.REPEATER_MAX_MAC_PAYLOAD))
            m_dwell_repeater[dr] = min(m_dwell[dr], m_repeater[dr])
            lower = row.optional_integer("back_off")
            if lower is not None:
                self.back_off[dr] = lower
            row.done()
        self.rates = tuple(rates)
        self.rx1 = tuple(rx1)
        self.rx1_dwell = tuple(rx1_dwell)
        self.limits = DirectionLimits(tuple(m), tuple(m_repeater), tuple(m_dwell), tuple(m_dwell_repeater))

    @property
    def downlink(self) -> DataRates:
        """Downlinks use all of these but LR-FHSS."""
        return tuple(rate if rate and rate.modulation is not Modulation.LR_FHSS else None for rate in self.rates)


def _data_rate(row: Table) -> DataRate:
    datr = row.text_or_integer("datr")
    bitrate = row.integer("bitrate_bps")
    codr = row.text("codr", "")
    if isinstance(datr, int):
        return DataRate(Modulation.FSK, 0, 0, bitrate, datr)
    if form := _LORA.fullmatch(datr):
        sf = int(form[1])
        if sf not in common.REQUIRED_SNR_DB:
            row.fail("datr", f"spreading factors are 5 to 12, got {datr!r}")
        return DataRate(Modulation.LORA, sf, int(form[2]) * 1000, bitrate, datr, codr or "4/5")
    if form := _LR_FHSS.fullmatch(datr):
        if not codr:
            row.fail("codr", 'LR-FHSS needs its coding rate: "1/3" or "2/3"')
        return DataRate(Modulation.LR_FHSS, 0, int(form[1]) * 1000, bitrate, datr, codr)
    row.fail("datr", f'expected "SF7BW125", "M0CW137" or the bit rate of FSK, got {datr!r}')


def _channels(table: Table, key: str) -> tuple[Channel, ...]:
    channels: list[Channel] = []
    for row in _closing(table.tables(key)):
        if "frequencies_hz" in row:
            frequencies_hz = row.integers("frequencies_hz")
        else:
            first, step, count = row.integer("first_hz"), row.integer("step_hz"), row.integer("count")
            if not 0 < count <= _MAX_CHANNELS:
                row.fail("count", f"is 1 to {_MAX_CHANNELS}, got {count}")
            frequencies_hz = tuple(first + n * step for n in range(count))
        min_dr, max_dr = row.integer("min_dr", 0), row.integer("max_dr", 0)
        channels += [Channel(frequency_hz, min_dr, max_dr) for frequency_hz in frequencies_hz]
    return tuple(channels)


def _presets(table: Table, channels: tuple[Channel, ...]) -> dict[str, tuple[int, ...]]:
    """Of a dynamic plan: extra channels in Hz. Of a fixed plan: the channels to switch on, as "8-15" or "65"."""
    presets: dict[str, tuple[int, ...]] = {}
    for name in table.keys():  # noqa: SIM118 (a Table is no mapping)
        if not channels:
            presets[name] = table.integers(name)
            continue
        indices: list[int] = []
        for text in table.texts(name):
            form = _RANGE.fullmatch(text)
            if form is None or int(form[2] or form[1]) >= len(channels):
                table.fail(name, f'expected channels such as "8-15" below {len(channels)}, got {text!r}')
            indices += range(int(form[1]), int(form[2] or form[1]) + 1)
        presets[name] = tuple(channels[n].frequency_hz for n in indices)
    return presets


def _sub_band(row: Table, plan_max: float) -> SubBand:
    min_hz, max_hz = row.integer("min_hz"), row.integer("max_hz")
    duty_cycle = row.number("duty_cycle", 1)
    if not min_hz < max_hz:
        row.fail("max_hz", f"must be above min_hz, {max_hz} is not")
    if not 0 < duty_cycle <= 1:
        row.fail("duty_cycle", f"is a share above 0 and up to 1 (0.01 means 1 %), got {duty_cycle}")
    if "max_erp_dbm" in row:
        power = round(row.number("max_erp_dbm") + common.ERP_TO_EIRP_DB, 2)
    else:
        power = row.number("max_eirp_dbm", plan_max)
    return SubBand(min_hz, max_hz, duty_cycle, power)


def _class_b(table: Table) -> ClassB:
    layout = table.array("beacon_layout", ())
    if not all(isinstance(part, list) and list(map(type, part)) == [str, int] for part in layout):
        table.fail("beacon_layout", 'expected pairs of field and length such as ["Time", 4]')
    part = ClassB(
        table.integers("beacon_frequencies_hz", ()),
        table.optional_integer("beacon_dr"),
        tuple((name, length) for name, length in layout),
        table.integers("ping_slot_frequencies_hz", ()),
        table.optional_integer("ping_slot_dr"),
    )
    table.done()
    return part


def _ch_mask_cntl(table: Table) -> tuple[str, ...]:
    texts = table.texts("ch_mask_cntl")
    if len(texts) != 8:
        table.fail("ch_mask_cntl", f'expected 8 texts, one for each value ("" where it is RFU), got {len(texts)}')
    try:
        link_adr.MaskPlanner(texts, None)
    except PlanError as error:
        table.fail("ch_mask_cntl", str(error))
    return texts


def _differences(table: Table) -> tuple[Difference, ...]:
    """What to say about them; the library has laid them over the plan already."""
    rows = table.array("differences", ())
    if not all(isinstance(row, dict) and {"until", "what"} <= row.keys() for row in rows):
        table.fail("differences", "each needs `until` and `what`")
    return tuple(Difference(row["until"], row["what"]) for row in rows)


def _pair(table: Table, key: str) -> tuple[int, int] | None:
    if key not in table:
        return None
    values = table.integers(key)
    if len(values) != 2 or not values[0] < values[1]:
        table.fail(key, f"expected two rising frequencies, got {list(values)}")
    return values[0], values[1]


def _closing(rows: list[Table]) -> Any:
    """Each row in turn; when the next is asked for, the one before must have been read out."""
    for row in rows:
        yield row
        row.done()


def _check(plan: Plan, source: str) -> None:
    """What must hold between keys."""

    def require(condition: bool, key: str, problem: str) -> None:
        if not condition:
            raise PlanError(f"{source}: {key}: {problem}")

    down = {dr for dr, rate in enumerate(plan.downlink_data_rates) if rate}
    up = {dr for dr, rate in enumerate(plan.data_rates) if rate}
    require(plan.rx2_dr in down, "rx2.dr", f"there is no downlink data rate {plan.rx2_dr}")
    for dr, row in [*enumerate(plan.rx1_drs), *enumerate(plan.rx1_drs_dwell)]:
        wrong = set(row) - down
        require(not wrong, f"data_rates.{dr}.rx1", f"there is no downlink data rate {min(wrong, default=0)}")
    for dr, lower in plan.back_off.items():
        require(lower in up, f"data_rates.{dr}.back_off", f"there is no data rate {lower}")
    for channel in (*plan.default_channels, *plan.join_channels):
        require({channel.min_dr, channel.max_dr} <= up, "channels", f"{channel} names a data rate that does not exist")
    require(bool(plan.tx_power_offsets_db), "tx_power_offsets_db", "needs at least one entry")
    bands = plan.sub_bands
    for low, high in pairwise(bands):
        require(low.max_hz <= high.min_hz, "sub_bands", f"{low} and {high} overlap")
    lists = common.FIXED_CHANNEL_LISTS_HZ
    require(
        set(plan.cflist_types) <= ({1} if plan.is_fixed else {0, 1}), "cflist.types", f"cannot be {plan.cflist_types}"
    )
    numbered = 1 in plan.cflist_types and not plan.is_fixed
    require(not numbered or plan.cflist_fixed_list in lists, "cflist.fixed_list", f"is one of {', '.join(lists)}")
    for name, frequencies_hz in plan.presets.items():
        try:
            plan.cflist(frequencies_hz)
        except PlanError as error:
            require(False, f"presets.{name}", str(error))
