"""What is fixed in a simulated device: its identity, keys, version and class, and how patient it is."""

from __future__ import annotations

from dataclasses import dataclass, field

from lorasim.firmware import SOUND, Firmware
from lorasim.manners import Manners


@dataclass(slots=True)
class DeviceConfig:
    """What is fixed in a device."""

    dev_eui: int
    join_eui: int = 0
    app_key: bytes = bytes(16)
    nwk_key: bytes = bytes(16)
    """1.1 only."""
    mac_version: str = "1.0.3"
    dr: int = 5
    adr: bool = True
    battery: int = 255
    first_dev_nonce: int = 0
    """1.0.4 and 1.1 count DevNonce; older devices draw it."""
    join_backoff_s: tuple[float, float] = (4.0, 12.0)
    """Random pause after a join without answer; its range doubles each time, until it ends at :attr:`join_backoff_max_s`."""
    join_backoff_max_s: float = 600.0
    confirmed_tries: int = 8
    """Up to 1.0.3; later versions use NbTrans (TS001-1.0.4 §4.3.1.2)."""
    ack_timeout_s: tuple[float, float] = (1.0, 3.0)
    queue_length: int = 64
    manners: Manners = field(default_factory=Manners)
    firmware: Firmware = SOUND
    """What is wrong with its program."""
    duty_cycle: bool = False
    """It keeps to the duty cycle of the sub-bands, and to the airtime that joins may take."""
    battery_mah: float = 0.0
    """A battery that runs down; 0: it always tells :attr:`battery`."""
    sleep_ua: float = 5.0
    ping_periodicity: int | None = None
    """A device of class B: it opens a ping slot every 2**ping_periodicity s once it has the beacon. None: class A."""
    class_c: bool = False
    """It listens whenever it does not send."""
    ppm: float = 0.0
    """How much too fast the crystal runs that finds beacons and ping slots."""

    @property
    def device_class(self) -> str:
        """``A``, ``B`` or ``C``."""
        return "C" if self.class_c else "A" if self.ping_periodicity is None else "B"

    @property
    def lorawan_1_1(self) -> bool:
        return self.mac_version.startswith("1.1")

    @property
    def counts_nonces(self) -> bool:
        return self.lorawan_1_1 or self.mac_version == "1.0.4"
