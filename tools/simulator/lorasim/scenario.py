"""Scenarios: TOML files that say what is simulated. An unknown key or a wrong type is an error that names the key."""

from __future__ import annotations

import dataclasses
import tomllib
import types
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints


class ScenarioError(ValueError):
    """The scenario cannot be used; the text says which key and why."""


@dataclass(slots=True)
class Clock:
    """The meters' own clock. Radio time is always real."""

    days: int = 31
    """The meters start at local midnight this many days before today."""
    speed: float = 1.0
    """Seconds of meter time per second; once caught up with the present, meters run in real time."""
    lead_in_s: float = 0.0
    """Real seconds, for joining, before the meters' clock starts."""
    zone: str = "UTC"


@dataclass(slots=True)
class Radio:
    """The air between devices and gateways, thin: no path loss, no collisions."""

    rssi_dbm: float = -95.0
    """Mean signal at the best gateway of a device."""
    snr_db: float = 5.0
    spread_db: float = 5.0
    """Standard deviation from device to device."""
    fading_db: float = 2.0
    """Standard deviation from frame to frame."""
    weaker_db: float = 7.0
    """How much weaker each further gateway hears, on average."""
    loss: float = 0.0
    """Share of frames that a gateway does not hear for other reasons."""
    downlink_loss: float = 0.0
    half_duplex: bool = True
    """A gateway that transmits hears nothing. Off where the meters' clock runs fast: a month of downlinks within minutes
    would deafen gateways that are silent nearly all of a real month."""


@dataclass(slots=True)
class Backhaul:
    """The way between gateway and server."""

    delay_ms: float = 15.0
    jitter_ms: float = 10.0
    loss: float = 0.0
    duplicate: float = 0.0


@dataclass(slots=True)
class GatewayEntry:
    eui: str
    name: str = ""
    forwarder: str = "1302"
    """``1301`` or ``1302``: the program whose queue margins it has."""
    tmst_offset_us: int | None = None
    tx_ack: bool = True
    keepalive_s: float = 10.0
    stat_s: float = 30.0
    latitude: float | None = None
    longitude: float | None = None
    gps: bool = False
    """It has a GPS receiver."""
    beacons: bool = False
    """Its forwarder sends beacons by itself."""
    backhaul: Backhaul | None = None
    """None: the scenario's."""


@dataclass(slots=True)
class DeviceGroup:
    """Devices without a meter behind them: each sends a running number every ``interval_s`` real seconds."""

    count: int = 1
    dev_eui: str = "70b3d5fffe000001"
    """Of the first; the others count up."""
    join_eui: str = "70b3d5fffe0000ff"
    profile: str = ""
    mac_version: str = "1.0.3"
    interval_s: float = 10.0
    f_port: int = 10
    payload_bytes: int = 8
    confirmed: bool = False
    adr: bool = True
    dr: int = 5
    join_spread_s: float = 1.0
    link_check: int = 0
    """Ask LinkCheckReq with every n-th uplink; 0 never."""
    device_time: int = 0
    """Ask DeviceTimeReq with every n-th uplink; 0 never."""
    class_c: bool = False
    """It listens whenever it does not send."""
    ping_periodicity: int = -1
    """Class B: a ping slot every 2**n s; -1 is class A."""
    ppm: float = 0.0
    """How much too fast the devices' crystals run."""


@dataclass(slots=True)
class House:
    """A block of flats, each with a cold and a hot meter, and a common meter for each water."""

    organisation: str
    address: str
    flats: int = 60
    entrances: int = 2
    fias_guid: str = ""
    inn: str = ""
    account_prefix: str = ""
    flat_profile: str = "karat-926lw"
    common_profile: str = "vega-si-11"
    v18_every: int = 3
    """Each n-th radio module speaks KARAT's older protocol; 0 none."""
    mac_version: str = "1.0.2"
    common_mac_version: str = "1.0.2"
    dev_eui: str = "70b3d5e75f000001"
    join_eui: str = "70b3d5e75f0000ff"
    serial: int = 18270001
    loss_percent: dict[str, float] = field(default_factory=lambda: {"cold_water": 3.0, "hot_water": 2.0})
    """What the common meter sees beyond the flats, in percent of their use."""
    leak_l_per_h: dict[str, float] = field(default_factory=dict)
    pulse_litres: int = 10
    """Weight of one pulse of a common meter."""
    report_spread_h: float = 16.0
    """Day values are sent within this time after midnight, each module at its own moment."""
    common_period_h: int = 12
    """Common meters are read this often, counted from local midnight."""
    confirmed_devices: int = 2
    """So many modules send confirmed frames and retransmit until they hear the ACK."""
    deaf_devices: int = 1
    """So many of those miss half of all downlinks."""
    dr: int = 5
    join_spread_s: float = 45.0
    join_backoff_max_s: float = 24.0
    """Longest pause between two joins; real modules wait for hours."""
    battery: int = 230


@dataclass(slots=True)
class Scenario:
    name: str
    title: str = ""
    region: str = "RU864"
    preset: str = "864"
    """Extra channels of the gateways: a preset of the region's plan."""
    seed: int = 1
    clock: Clock = field(default_factory=Clock)
    radio: Radio = field(default_factory=Radio)
    backhaul: Backhaul = field(default_factory=Backhaul)
    gateways: list[GatewayEntry] = field(default_factory=list)
    house: House | None = None
    devices: list[DeviceGroup] = field(default_factory=list)


def names() -> list[str]:
    """Scenarios that come with the program."""
    folder = resources.files("lorasim") / "scenarios"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load(name_or_path: str | Path) -> Scenario:
    """A scenario by its name (see :func:`names`) or from a TOML file. Raises :class:`ScenarioError`."""
    path = Path(name_or_path)
    if path.suffix == ".toml":
        if not path.is_file():
            raise ScenarioError(f"{path}: no such file")
        text = path.read_text(encoding="utf-8")
    elif str(name_or_path) in names():
        text = (resources.files("lorasim") / "scenarios" / f"{name_or_path}.toml").read_text(encoding="utf-8")
    else:
        raise ScenarioError(f"no scenario {str(name_or_path)!r}: there are {', '.join(names())}; or give a .toml file")
    return parse(text)


def parse(text: str) -> Scenario:
    """A scenario from TOML text. Raises :class:`ScenarioError`."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"not TOML: {error}") from error
    scenario: Scenario = _build(Scenario, table, "")
    for index, gateway in enumerate(scenario.gateways):
        _check_eui(gateway.eui, f"gateways.{index}.eui")
        if gateway.forwarder not in ("1301", "1302"):
            raise ScenarioError(f"gateways.{index}.forwarder: {gateway.forwarder!r} is neither '1301' nor '1302'")
    for index, group in enumerate(scenario.devices):
        _check_eui(group.dev_eui, f"devices.{index}.dev_eui")
        _check_eui(group.join_eui, f"devices.{index}.join_eui")
    if scenario.clock.speed <= 0:
        raise ScenarioError(f"clock.speed: {scenario.clock.speed} must be above 0")
    return scenario


def _check_eui(text: str, where: str) -> None:
    if len(text) != 16 or set(text) - set("0123456789abcdef"):
        raise ScenarioError(f"{where}: {text!r} is not 16 lower-case hex digits")


def _build(cls: type[Any], table: dict[str, Any], where: str) -> Any:
    hints = get_type_hints(cls)
    unknown = sorted(set(table) - set(hints))
    if unknown:
        raise ScenarioError(f"{where}{unknown[0]}: unknown key; known are {', '.join(hints)}")
    values = {key: _convert(hints[key], value, f"{where}{key}") for key, value in table.items()}
    for f in dataclasses.fields(cls):
        required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if required and f.name not in values:
            raise ScenarioError(f"{where}{f.name}: missing")
    return cls(**values)


def _convert(kind: Any, value: Any, where: str) -> Any:
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(k for k in get_args(kind) if k is not type(None))
    if get_origin(kind) is list:
        if not isinstance(value, list):
            raise ScenarioError(f"{where}: expected a list of tables")
        return [_convert(get_args(kind)[0], item, f"{where}.{i}") for i, item in enumerate(value)]
    if get_origin(kind) is dict:
        if not isinstance(value, dict):
            raise ScenarioError(f"{where}: expected a table")
        return {key: _convert(get_args(kind)[1], item, f"{where}.{key}") for key, item in value.items()}
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, dict):
            raise ScenarioError(f"{where}: expected a table")
        return _build(kind, value, f"{where}.")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ScenarioError(f"{where}: {value!r} is not {kind.__name__}")
    return value
