"""The tables of a scenario as classes: one class a table, one field a key, and what each means."""

from __future__ import annotations

from dataclasses import dataclass, field

from lorasim.assertions import Assertion
from lorasim.backhaul import Backhaul, BackhaulOutage
from lorasim.faults import Leak, Replacement, Silence, Theft, WrongClock
from lorasim.firmware import Firmware
from lorasim.manners import Manners
from lorasim.meters.config import MeterGroup
from lorasim.station_entry import StationEntry
from lorasim.timeline import Event


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
    """Of the meters' local time."""
    start: str = ""
    """Virtual time begins at local midnight of this day; empty: 2026-01-12."""
    duration_s: float = 0.0
    """How long a run takes that has no house, or one with ``days = 0``, and any in virtual time; 0: all ``days``, in real time
    for ever."""


@dataclass(slots=True)
class Radio:
    """The air between devices and gateways.

    With ``radius_m`` there is a map: places, path loss, walls, shadowing, fading over time. Without it, every device has a
    mean signal at every gateway and frames vary around that. Collisions, capture, demodulators and sensitivity are the same.
    """

    rssi_dbm: float = -95.0
    """Without a map: mean signal at the best gateway of a device that sends at 16 dBm."""
    snr_db: float = 5.0
    """Without a map: its ratio to the noise."""
    spread_db: float = 5.0
    """Standard deviation from device to device."""
    fading_db: float = 2.0
    """Standard deviation from frame to frame."""
    weaker_db: float = 7.0
    """How much weaker each further gateway hears, on average."""
    loss: float = 0.0
    """Share of frames that a gateway does not hear for other reasons."""
    downlink_loss: float = 0.0
    """Share of downlinks that a device does not hear for other reasons."""
    collisions: bool | None = None
    """Frames disturb each other. Not given: yes, but not where the meters' clock runs fast, which makes a month's frames of
    a few minutes."""
    capture: bool = True
    """Of two frames the one that is 6 dB stronger survives. False: neither."""
    inter_sf: bool = True
    """Other spreading factors disturb, too, when they are much stronger."""
    radius_m: float = 0.0
    """With a map: devices stand within this distance of its middle; gateways without a place stand on a ring half as wide."""
    surroundings: list[str] = field(default_factory=lambda: ["static"])
    """With a map: what is around the devices, each kind as often: ``static``, ``fading``, ``moving``, ``basement``."""
    path_loss_at_1_km_db: float = 128.95
    """With a map: path loss at a kilometre."""
    path_loss_exponent: float = 2.32
    """With a map: of the distance."""
    noise_figure_db: float = 6.0
    """With a map: of the receivers, above -123 dBm in 125 kHz."""
    coverage_snr_db: float = -15.0
    """With a map: no device is placed where its best gateway would have it below this at full power, on average."""
    foreign_per_h: float = 0.0
    """Frames of other networks in an hour, on all channels together. Gateways hear and forward them as they do ours."""
    foreign_dbm: tuple[float, float] = (-125.0, -95.0)
    """Between which their level at the gateways lies."""
    half_duplex: bool = True
    """A gateway that transmits hears nothing. Off where the meters' clock runs fast: a month of downlinks within minutes
    would deafen gateways that are silent nearly all of a real month."""


@dataclass(slots=True)
class GatewayEntry:
    eui: str
    """16 lower-case hex digits."""
    name: str = ""
    """For people."""
    kind: str = "udp"
    """``udp``: a packet forwarder; ``station``: LoRa Basics Station."""
    forwarder: str = "1302"
    """``1301`` or ``1302``: the program whose queue margins it has."""
    tmst_offset_us: int | None = None
    """Counter at the start; not given: drawn. Near 4294967296 it wraps soon."""
    tx_ack: bool = True
    """False: its forwarder never sends TX_ACK."""
    keepalive_s: float = 10.0
    """Between two PULL_DATA."""
    stat_s: float = 30.0
    """Between two ``stat`` reports."""
    latitude: float | None = None
    """Told in ``stat`` and given to the registry."""
    longitude: float | None = None
    """The same."""
    x_m: float | None = None
    """Place on the map, metres east of its middle."""
    y_m: float | None = None
    """Metres north."""
    rogue: bool = False
    """Nobody has registered it: a server must not serve it. Of use with the event ``replay``, too."""
    demodulators: int = 8
    """Frames that it receives at once: 8 or 16."""
    gps: bool = False
    """It has a GPS receiver."""
    beacons: bool = False
    """Its forwarder sends beacons by itself."""
    tx_ack_errors: dict[str, float] = field(default_factory=dict)
    """Share of downlinks that a forwarder refuses with an error, such as ``{ COLLISION_PACKET = 0.1 }``."""
    restarts_s: list[float] = field(default_factory=list)
    """It restarts so many seconds after the start: its counter begins anew, what it had planned is lost."""
    station: StationEntry = field(default_factory=StationEntry)
    backhaul: Backhaul | None = None
    """None: the scenario's."""
    outages: list[BackhaulOutage] = field(default_factory=list)
    """Times without backhaul."""


@dataclass(slots=True)
class DeviceGroup:
    """Devices without a meter behind them: each sends a running number every ``interval_s`` real seconds."""

    name: str = ""
    """What assertions and reports call them."""
    count: int = 1
    """So many devices."""
    dev_eui: str = "70b3d5fffe000001"
    """Of the first; the others count up."""
    join_eui: str = "70b3d5fffe0000ff"
    """The same for all."""
    profile: str = ""
    """Of the registry's table; of no effect in the lab."""
    mac_version: str = "1.0.3"
    """``1.0.2``, ``1.0.3``, ``1.0.4`` or ``1.1``."""
    interval_s: float = 10.0
    """Between two payloads."""
    f_port: int = 10
    """Of the payload."""
    payload_bytes: int = 8
    """Length of the running number."""
    confirmed: bool = False
    """They send confirmed frames and repeat them until the ACK."""
    adr: bool = True
    """They let the network steer data rate and power."""
    dr: int = 5
    """Data rate at the start and of the first joins."""
    join_spread_s: float = 1.0
    """Each is switched on at a moment within so long after the start."""
    link_check: int = 0
    """Ask LinkCheckReq with every n-th uplink; 0 never."""
    device_time: int = 0
    """Ask DeviceTimeReq with every n-th uplink; 0 never."""
    certification: bool = False
    """It speaks the certification protocol (TS009) on FPort 224."""
    class_c: bool = False
    """It listens whenever it does not send."""
    ping_periodicity: int = -1
    """Class B: a ping slot every 2**n s; -1 is class A."""
    ppm: float = 0.0
    """How much too fast the devices' crystals run: beacons, ping slots and receive windows."""
    random_intervals: bool = False
    """Intervals are drawn (exponentially), ``interval_s`` is their mean: arrivals as the theory of ALOHA has them."""
    activation: str = "OTAA"
    """``OTAA`` or ``ABP``."""
    dev_addr: str = "00800000"
    """ABP: of the first; the others count up."""
    battery: int = 255
    """What DevStatusAns tells: 0 external power, 1 to 254 the level, 255 unknown."""
    battery_mah: float = 0.0
    """A battery that runs down, instead; the device stops when it is empty."""
    join_backoff_max_s: float = 600.0
    """Longest pause between two requests to join."""
    first_dev_nonce: int = 0
    """1.0.4 and 1.1 count DevNonce from here."""
    duty_cycle: bool = False
    """They keep to the duty cycle of the sub-bands, and to the airtime that joins may take."""
    manners: Manners = field(default_factory=Manners)
    """How they treat MAC commands."""
    firmware: Firmware = field(default_factory=Firmware)
    """What is wrong with their program."""


@dataclass(slots=True)
class House:
    """A block of flats, each with a cold and a hot meter, and a common meter for each water."""

    organisation: str
    """Who runs it."""
    address: str
    """Where it stands."""
    flats: int = 60
    """So many flats."""
    entrances: int = 2
    """So many entrances."""
    fias_guid: str = ""
    """Of the address register."""
    inn: str = ""
    """Tax number of the organisation."""
    account_prefix: str = ""
    """First digits of the accounts."""
    flat_profile: str = "karat-926lw"
    """Device profile of the flats' modules."""
    common_profile: str = "vega-si-11"
    """Device profile of the common meters' modules: ``vega-si-11``, ``karat-926lw``, or ``karat-929lw``, one module that reads
    a KARAT-307 with all common meters, heat among them."""
    v18_every: int = 3
    """Each n-th radio module speaks KARAT's older protocol; 0 none."""
    mac_version: str = "1.0.2"
    """Of the flats' modules."""
    common_mac_version: str = "1.0.2"
    """Of the common meters' modules."""
    dev_eui: str = "70b3d5e75f000001"
    """Of the first module; the others count up."""
    join_eui: str = "70b3d5e75f0000ff"
    """The same for all."""
    serial: int = 18270001
    """Of the first meter; the others count up."""
    loss_percent: dict[str, float] = field(default_factory=lambda: {"cold_water": 3.0, "hot_water": 2.0})
    """What the common meter sees beyond the flats, in percent of their use."""
    leak_l_per_h: dict[str, float] = field(default_factory=dict)
    """Beyond the flats, day and night, by resource."""
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
    """Data rate at the start."""
    join_spread_s: float = 45.0
    """Each module is switched on within so long after the start."""
    join_backoff_max_s: float = 24.0
    """Longest pause between two joins; real modules wait for hours."""
    battery: int = 230
    """What DevStatusAns tells."""
    resources: list[str] = field(default_factory=lambda: ["cold_water", "hot_water"])
    """Which meters each flat has; ``heat`` is that of a KARAT-Compact 223."""
    hours: list[int] = field(default_factory=lambda: [0])
    """Local hours whose values flats' modules send; 0 is midnight, the others are records of the hour's archive."""
    current_every_d: int = 0
    """Every so many days a flat's module sends its value of that moment, which tells its clock; 0 never."""
    common_gateway: str = ""
    """EUI of the gateway that the common meters' modules are near to; empty: anywhere."""
    device_time_every_d: int = 0
    """Every so many days a flat's module asks DeviceTimeReq and sets its clock; 0 never."""
    archive_days: int = 60
    """So far back modules remember what they are asked for."""
    tenants: list[str] = field(default_factory=list)
    """Names of who is in the premises, in their order; the premises are no flats then."""
    thefts: list[Theft] = field(default_factory=list)
    leaks: list[Leak] = field(default_factory=list)
    clocks: list[WrongClock] = field(default_factory=list)
    replacements: list[Replacement] = field(default_factory=list)
    silences: list[Silence] = field(default_factory=list)


@dataclass(slots=True)
class Scenario:
    name: str
    """Short, as it is called on the command line."""
    title: str = ""
    """What it is, for people."""
    region: str = "RU864"
    """A plan of ``regional``."""
    preset: str = "864"
    """Extra channels of the gateways: a preset of the region's plan."""
    seed: int = 1
    """Everything that is drawn follows from it; ``--seed`` takes another."""
    clock: Clock = field(default_factory=Clock)
    radio: Radio = field(default_factory=Radio)
    backhaul: Backhaul = field(default_factory=Backhaul)
    gateways: list[GatewayEntry] = field(default_factory=list)
    house: House | None = None
    devices: list[DeviceGroup] = field(default_factory=list)
    meters: list[MeterGroup] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    assertions: list[Assertion] = field(default_factory=list, metadata={"key": "assert"})
