"""The transmitter of a Basics Station: what ``router_config`` allows, and where a downlink finds its place.

Modelled on lorabasics/basicstation 2.0.6 (``src/s2e.c``). RX1 comes first, then RX2; of two frames that overlap the one
with the higher priority stays and the other looks for its next place. What finds none is dropped without a word to the
server. Times are the station's own microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lorasim.radio import airtime_us
from lorawan.errors import FrameError

AIM_GAP_US = 60_000
"""A frame must be there so long before its time (TX_AIM_GAP of the Linux build)."""
MIN_GAP_US = 10_000
MAX_AHEAD_US = 600_000_000
CLASS_C_BACKOFF_US = 100_000
CLASS_C_TRIES = 10
REGIONS = {"EU868", "EU863", "IL915", "KR920", "AS923-1", "AS923JP", "US915", "US902", "AU915"}
"""Names that 2.0.6 knows. Under any other it accepts the configuration and drops every downlink."""
POWER_DBM = {"EU868": 16, "EU863": 16, "US915": 26, "US902": 26, "AU915": 30, "KR920": 23, "AS923-1": 13, "IL915": 14}
DUTY_CYCLE_REGIONS = {"EU868", "EU863"}


@dataclass(slots=True)
class Job:
    """A downlink with a place in the queue."""

    phy: bytes
    diid: int
    dev_eui: str
    rctx: int
    priority: int
    start_us: int
    airtime_us: int
    dr: int
    frequency_hz: int
    datr: str
    window: str
    message: dict[str, Any]
    """What the server sent, for its next place."""
    tries_from: int = 0

    @property
    def end_us(self) -> int:
        return self.start_us + self.airtime_us


@dataclass(slots=True)
class StationRadio:
    """See the module. ``config``: the ``router_config`` message. Raises :class:`FrameError` when it cannot be read."""

    config: dict[str, Any]
    duty_cycle: bool = True
    """The regional duty cycle of the station itself; ``nodc`` turns it off in development builds only."""
    jobs: list[Job] = field(default_factory=list)
    sent: list[Job] = field(default_factory=list)
    """The last few that went on the air: a new one must not overlap them."""
    channels_hz: tuple[int, ...] = ()
    rates: list[str | None] = field(default_factory=list)
    dropped: list[tuple[int, str]] = field(default_factory=list)
    """(diid, why) of what found no place, until somebody takes them."""
    _band_free_us: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            self.rates = [_datr(rate) for rate in self.config["DRs"]]
            self.channels_hz = tuple(_channels(self.config["sx1301_conf"]))
            low, high = self.config["freq_range"]
            if not low < high:
                raise ValueError(f"freq_range {low} to {high}")
            str(self.config["region"])
            float(self.config["max_eirp"])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise FrameError(f"router_config cannot be used: {type(error).__name__} {error}") from error

    @property
    def region(self) -> str:
        name = str(self.config["region"])
        return name if name in REGIONS else ""

    @property
    def power_dbm(self) -> float:
        return min(POWER_DBM.get(self.region, 14), float(self.config["max_eirp"]))

    def dr_of(self, datr: str) -> int | None:
        """The number of an uplink's data rate."""
        return self.rates.index(datr) if datr in self.rates else None

    # ------------------------------------------------------------------------------------------------- the queue

    def take(self, message: dict[str, Any], now_us: int, session: int, gps_offset_us: int | None) -> str:
        """Give a ``dnmsg`` its place. Empty, or why it was dropped."""
        if not self.region:
            return f"region {self.config['region']!r} is not known: every downlink is dropped"
        try:
            places = self._places(message, now_us, session, gps_offset_us)
            phy, priority = bytes.fromhex(message["pdu"]), int(message.get("priority", 0))
        except (KeyError, TypeError, ValueError) as error:
            return f"dnmsg cannot be read: {type(error).__name__} {error}"
        return self._place(message, phy, priority, places, 0, now_us)

    def _place(
        self, message: dict[str, Any], phy: bytes, priority: int, places: list[Place], first: int, now_us: int
    ) -> str:
        why = "no window is left"
        for number, (window, start_us, dr, frequency_hz) in enumerate(places[first:], start=first):
            job = self._job(message, phy, priority, (window, start_us, dr, frequency_hz))
            if isinstance(job, str):
                return job
            job.tries_from = number + 1
            refused = self._refused(job, now_us)
            if refused:
                why = f"{window}: {refused}"
                continue
            weaker = [one for one in self.jobs if _overlap(one, job)]
            if any(one.priority >= priority for one in weaker):
                why = f"{window}: another frame is in the way"
                continue
            self.jobs = sorted([*(one for one in self.jobs if one not in weaker), job], key=lambda one: one.start_us)
            for one in weaker:
                self._move(one, now_us)
            return ""
        return why

    def _move(self, job: Job, now_us: int) -> None:
        """A frame of higher priority took the place of this one."""
        places = self._places(job.message, now_us, -1, None)
        why = self._place(job.message, job.phy, job.priority, places, job.tries_from, now_us)
        if why:
            self.dropped.append((job.diid, f"displaced; {why}"))

    def _job(self, message: dict[str, Any], phy: bytes, priority: int, place: Place) -> Job | str:
        window, start_us, dr, frequency_hz = place
        low, high = self.config["freq_range"]
        datr = self.rates[dr] if 0 <= dr < len(self.rates) else None
        if not low <= frequency_hz <= high:
            return f"{frequency_hz} Hz is outside of freq_range"
        if datr is None:
            return f"data rate {dr} is not in DRs"
        return Job(
            phy,
            int(message["diid"]),
            str(message.get("DevEui", "")),
            int(message.get("rctx", 0)),
            priority,
            start_us,
            airtime_us(len(phy), datr, crc=False),
            dr,
            frequency_hz,
            datr,
            window,
            message,
        )

    def _refused(self, job: Job, now_us: int) -> str:
        if job.start_us < now_us + AIM_GAP_US:
            return f"{(job.start_us - now_us) / 1000:.0f} ms ahead is too late"
        if job.start_us > now_us + MAX_AHEAD_US:
            return "too far ahead"
        if any(_overlap(one, job) for one in self.sent):
            return "the radio is sending"
        if self._limited and job.start_us < self._band_free_us.get(_eu_band(job.frequency_hz), 0):
            return "duty cycle of the band"
        return ""

    @property
    def _limited(self) -> bool:
        return self.duty_cycle and self.region in DUTY_CYCLE_REGIONS

    def _places(self, message: dict[str, Any], now_us: int, session: int, gps_offset_us: int | None) -> list[Place]:
        """Windows in the order in which they are tried. ``session`` -1: a message that was placed once."""
        if message["dC"] == 1:
            if gps_offset_us is None:
                return []
            return [("ping slot", message["gpstime"] - gps_offset_us, message["DR"], message["Freq"])]
        xtime = int(message.get("xtime", 0))
        if xtime and session >= 0 and xtime >> 48 != session:
            return []  # of a concentrator session that is over
        places: list[Place] = []
        begin_us = (xtime & (1 << 48) - 1) + max(1, int(message.get("RxDelay", 1))) * 1_000_000
        if xtime and "RX1DR" in message:
            places.append(("RX1", begin_us, message["RX1DR"], message["RX1Freq"]))
        if xtime and message["dC"] == 0 and "RX2DR" in message:
            places.append(("RX2", begin_us + 1_000_000, message["RX2DR"], message["RX2Freq"]))
        if message["dC"] == 2 and "RX2DR" in message:
            places += [
                ("RXC", now_us + AIM_GAP_US + n * CLASS_C_BACKOFF_US, message["RX2DR"], message["RX2Freq"])
                for n in range(CLASS_C_TRIES + 1)
            ]
        return places

    def schedule(self, entry: dict[str, Any], now_us: int, session: int, gps_offset_us: int | None) -> str:
        """One entry of a ``dnsched``: a frame at a GPS time, at an xtime, or at once. Empty, or why it was dropped."""
        if not self.region:
            return f"region {self.config['region']!r} is not known: every downlink is dropped"
        try:
            if "gpstime" in entry:
                if gps_offset_us is None:
                    return "no GPS time"
                start_us = int(entry["gpstime"]) - gps_offset_us
            elif entry.get("xtime"):
                if int(entry["xtime"]) >> 48 != session:
                    return "xtime of another session"
                start_us = int(entry["xtime"]) & (1 << 48) - 1
            else:
                start_us = now_us + AIM_GAP_US
            place = ("schedule", start_us, int(entry["DR"]), int(entry["Freq"]))
            phy, message = bytes.fromhex(entry["pdu"]), {"dC": 0, **entry}
        except (KeyError, TypeError, ValueError) as error:
            return f"dnsched cannot be read: {type(error).__name__} {error}"
        return self._place(message, phy, int(entry.get("priority", 0)), [place], 0, now_us)

    # ------------------------------------------------------------------------------------------------- time goes by

    def timer(self) -> int | None:
        """When the next frame leaves."""
        return self.jobs[0].start_us if self.jobs else None

    def take_due(self, now_us: int) -> list[Job]:
        """What leaves now."""
        due = [job for job in self.jobs if job.start_us <= now_us]
        self.jobs = self.jobs[len(due) :]
        held = [
            job for job in due if self._limited and job.start_us < self._band_free_us.get(_eu_band(job.frequency_hz), 0)
        ]
        self.dropped += [(job.diid, "duty cycle of the band") for job in held]
        due = [job for job in due if job not in held]
        for job in due:
            self.sent = [*self.sent[-7:], job]
            band = _eu_band(job.frequency_hz)
            self._band_free_us[band] = job.start_us + job.airtime_us * band
        return due


Place = tuple[str, int, int, int]
"""Window, start, data rate, frequency."""


def _overlap(a: Job, b: Job) -> bool:
    return a.start_us - MIN_GAP_US < b.end_us and b.start_us < a.end_us + MIN_GAP_US


def _eu_band(frequency_hz: int) -> int:
    """How many times its airtime a frame blocks its band (EU868)."""
    if 869_400_000 <= frequency_hz <= 869_650_000:
        return 10
    if 868_000_000 <= frequency_hz <= 868_600_000 or 869_700_000 <= frequency_hz <= 870_000_000:
        return 100
    return 1000


def _datr(rate: list[int]) -> str | None:
    sf, bw_khz, _ = rate
    return f"SF{sf}BW{bw_khz}" if 5 <= sf <= 12 else None


def _channels(boards: list[dict[str, Any]]) -> list[int]:
    """Centre frequencies that the demodulators are set to."""
    found = []
    for board in boards:
        radios = [int(board[f"radio_{n}"]["freq"]) for n in range(2) if f"radio_{n}" in board]
        for name, channel in board.items():
            if name.startswith(("chan_multiSF_", "chan_Lora_std")) and channel.get("enable"):
                found.append(radios[channel["radio"]] + int(channel["if"]))
    return found
