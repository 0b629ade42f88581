"""Sessions: what the server and a device agreed on at the join, and how far they have counted."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from lns.keys import SEALED_BYTES
from lns.radio import RadioParameters
from lorawan.counters import mark_seen, seen
from lorawan.crypto import SessionCipher, SessionKeys

__all__ = ["CipherCache", "RadioParameters", "Session", "SessionTable"]

if TYPE_CHECKING:
    from lns.device import Device
    from lorawan.identifiers import DevAddr


class Session:
    """One session. Counters are the full 32-bit ones."""

    __slots__ = (
        "a_f_cnt_down",
        "activated_at_us",
        "adr",
        "adr_reason",
        "conf_f_cnt_down",
        "confirmed",
        "dev_addr",
        "device",
        "dr",
        "f_cnt_up",
        "gateways",
        "id",
        "last_frame_id",
        "last_mic",
        "last_seen_us",
        "lorawan_1_1",
        "n_f_cnt_down",
        "nb_trans",
        "radio",
        "rssi_dbm",
        "sealed_keys",
        "snr_db",
        "tx_power",
        "window",
    )

    def __init__(
        self,
        id: int,
        device: Device,
        dev_addr: DevAddr,
        lorawan_1_1: bool,
        sealed_keys: bytes,
        activated_at_us: int,
        radio: RadioParameters,
    ) -> None:
        self.id = id
        self.device = device
        self.dev_addr = dev_addr
        self.lorawan_1_1 = lorawan_1_1
        self.sealed_keys = sealed_keys
        """The session keys, encrypted under the key-encryption key."""
        self.activated_at_us = activated_at_us
        self.confirmed = False
        """True once an uplink with these keys was accepted; until then the session before it lives too."""
        self.f_cnt_up = 0
        """Next FCntUp expected: the last accepted plus one."""
        self.window = 0
        """Bit i is set when FCntUp ``f_cnt_up - 1 - i`` was accepted."""
        self.last_mic = b""
        """MIC of the frame with the last FCntUp: tells its repetition from another frame."""
        self.last_frame_id = 0
        self.n_f_cnt_down = 0
        """Next FCntDown (1.1: NFCntDown)."""
        self.a_f_cnt_down = 0
        """Next AFCntDown, 1.1 only."""
        self.conf_f_cnt_down = 0
        """FCntDown of the last confirmed downlink: an ACK of a 1.1 device is bound to it."""
        self.radio = radio
        self.dr: int | None = None
        """Data rate of the last uplink."""
        self.tx_power = 0
        self.nb_trans = 1
        self.adr = b""
        """What ADR remembers, see :class:`lns.adr.memory.Memory`; empty without ADR."""
        self.adr_reason = ""
        """Last change that ADR decided on, packed by :func:`internalapi.adr.pack`."""
        self.last_seen_us: int | None = None
        self.rssi_dbm: float | None = None
        self.snr_db: float | None = None
        self.gateways = 0

    def take_f_cnt_up(self, f_cnt: int, mic: bytes) -> None:
        """Note an accepted FCntUp, newer or late."""
        if f_cnt >= self.f_cnt_up:
            self.last_mic = mic
        self.window, self.f_cnt_up = mark_seen(self.window, f_cnt, self.f_cnt_up)

    def was_taken(self, f_cnt: int) -> bool:
        """True when an older FCntUp was accepted, or is too old to be known."""
        return seen(self.window, f_cnt, self.f_cnt_up)

    def peek_f_cnt_down(self, application: bool) -> int:
        """The counter that the next downlink of this kind takes."""
        return self.a_f_cnt_down if self.lorawan_1_1 and application else self.n_f_cnt_down

    @property
    def is_end_to_end(self) -> bool:
        """Only the application has the AppSKey: payloads pass through as they are."""
        return len(self.sealed_keys) > SEALED_BYTES

    def skip_to_f_cnt_down(self, f_cnt: int) -> None:
        """The next application downlink takes ``f_cnt``; the counters before it are burned."""
        if self.lorawan_1_1:
            self.a_f_cnt_down = max(self.a_f_cnt_down, f_cnt)
        else:
            self.n_f_cnt_down = max(self.n_f_cnt_down, f_cnt)

    def next_f_cnt_down(self, application: bool) -> int:
        """Allocate the counter of one downlink; it is burned whatever becomes of the frame."""
        if self.lorawan_1_1 and application:
            self.a_f_cnt_down += 1
            return self.a_f_cnt_down - 1
        self.n_f_cnt_down += 1
        return self.n_f_cnt_down - 1


class SessionTable:
    """Sessions by DevAddr. A DevAddr is not unique: the MIC decides."""

    def __init__(self) -> None:
        self._by_dev_addr: dict[int, tuple[Session, ...]] = {}
        self._stored: dict[int, int | tuple[int, ...]] = {}
        """DevAddr → the devices (their numbers) whose sessions are in the store only."""
        self._count = 0
        self.load: Callable[[int], object] = lambda device_id: None
        """Reads a device and its sessions from the store into memory."""

    def know_stored(self, dev_addrs: Iterable[tuple[int, int]]) -> None:
        """The store has sessions: (DevAddr, device) of each."""
        stored = self._stored
        for dev_addr, device_id in dev_addrs:
            if dev_addr in stored:
                others = stored[dev_addr]
                stored[dev_addr] = (*(others if isinstance(others, tuple) else (others,)), device_id)
            else:
                stored[dev_addr] = device_id
            self._count += 1

    def enter(self, session: Session) -> None:
        """A session of the store is in memory from now on."""
        others = self._stored.pop(session.dev_addr, ())
        if isinstance(others, tuple):
            rest = list(others)
            if session.device.id in rest:
                rest.remove(session.device.id)
            if rest:
                self._stored[session.dev_addr] = tuple(rest)
        elif others != session.device.id:
            self._stored[session.dev_addr] = others
        self._by_dev_addr[session.dev_addr] = (*self._by_dev_addr.get(session.dev_addr, ()), session)

    def _load(self, dev_addr: int) -> None:
        others = self._stored[dev_addr]
        for device_id in set(others) if isinstance(others, tuple) else (others,):
            self.load(device_id)
        self._stored.pop(dev_addr, None)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Session]:
        for dev_addr in list(self._stored):
            self._load(dev_addr)
        for sessions in self._by_dev_addr.values():
            yield from sessions

    def get(self, dev_addr: int) -> tuple[Session, ...]:
        if dev_addr in self._stored:
            self._load(dev_addr)
        return self._by_dev_addr.get(dev_addr, ())

    def add(self, session: Session) -> None:
        self._by_dev_addr[session.dev_addr] = (*self._by_dev_addr.get(session.dev_addr, ()), session)
        self._count += 1

    def remove(self, session: Session) -> None:
        rest = tuple(one for one in self._by_dev_addr.get(session.dev_addr, ()) if one is not session)
        if rest:
            self._by_dev_addr[session.dev_addr] = rest
        else:
            self._by_dev_addr.pop(session.dev_addr, None)
        self._count -= 1


class CipherCache:
    """Cipher state of the sessions heard lately.

    Unsealing keys and building cipher state costs some ten times a frame, and the state takes about 2 KB, so it is made
    on a session's first frame; beyond ``limit`` the one made first is dropped.
    """

    def __init__(self, unseal: Callable[[Session], SessionKeys], limit: int = 150_000) -> None:
        self._unseal = unseal
        self._limit = limit
        self._ciphers: OrderedDict[int, SessionCipher] = OrderedDict()

    def get(self, session: Session) -> SessionCipher:
        cipher = self._ciphers.get(session.id)
        if cipher is None:
            cipher = SessionCipher(self._unseal(session), session.dev_addr)
            self._ciphers[session.id] = cipher
            if len(self._ciphers) > self._limit:
                self._ciphers.popitem(last=False)
        return cipher

    def drop(self, session: Session) -> None:
        self._ciphers.pop(session.id, None)
