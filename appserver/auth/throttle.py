"""Slows down guessing: five wrong passwords in fifteen minutes per account and address, growing delays before that."""

from __future__ import annotations

from collections import OrderedDict, deque

WINDOW_US = 15 * 60 * 1_000_000
ACCOUNT_FAILURES = 5
ADDRESS_FAILURES = 50
EVERYWHERE_FAILURES = 20
"""Guesses of one account's code, from whatever addresses."""
MAX_KEYS = 10_000


class Throttle:
    """Counts failed sign-ins in a bounded table. Time is an argument."""

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, str], deque[int]] = OrderedDict()

    def wait_s(self, account: str, address: str, now_us: int) -> float:
        """Seconds until the next attempt of ``account`` from ``address`` is looked at; 0 when it may come now."""
        waits = [
            self._wait_us((account.casefold(), address), ACCOUNT_FAILURES, now_us),
            self._wait_us(("", address), ADDRESS_FAILURES, now_us),
        ]
        return max(waits) / 1_000_000

    def delay_s(self, account: str, address: str, now_us: int) -> float:
        """How long an allowed attempt is held back: nothing for the first, then 0.25, 0.5, 1, 2 s."""
        failures = len(self._recent((account.casefold(), address), now_us))
        return 0.0 if failures == 0 else min(0.125 * 2**failures, 2.0)

    def failed(self, account: str, address: str, now_us: int) -> None:
        """Count a wrong password."""
        for key in ((account.casefold(), address), ("", address)):
            self._failures.setdefault(key, deque(maxlen=ADDRESS_FAILURES)).append(now_us)
            self._failures.move_to_end(key)
        while len(self._failures) > MAX_KEYS:
            self._failures.popitem(last=False)

    def wait_everywhere_s(self, account: str, now_us: int) -> float:
        """Seconds until the next attempt on ``account`` from any address is looked at."""
        return self._wait_us((account.casefold(), "*"), EVERYWHERE_FAILURES, now_us) / 1_000_000

    def failed_everywhere(self, account: str, now_us: int) -> None:
        """Count an attempt on an account, from wherever it came."""
        key = (account.casefold(), "*")
        self._failures.setdefault(key, deque(maxlen=ADDRESS_FAILURES)).append(now_us)
        self._failures.move_to_end(key)

    def succeeded(self, account: str, address: str) -> None:
        """Forget the account's failures from this address, and that this attempt was counted as one of the address."""
        self._failures.pop((account.casefold(), address), None)
        of_address = self._failures.get(("", address))
        if of_address:
            of_address.pop()

    def _recent(self, key: tuple[str, str], now_us: int) -> deque[int]:
        times = self._failures.get(key)
        if times is None:
            return deque()
        while times and times[0] <= now_us - WINDOW_US:
            times.popleft()
        return times

    def _wait_us(self, key: tuple[str, str], allowed: int, now_us: int) -> int:
        times = self._recent(key, now_us)
        return 0 if len(times) < allowed else max(times[-allowed] + WINDOW_US - now_us, 0)
