"""What the server remembers of a device's MAC layer between frames, beyond what the session keeps.

Lost at a restart without harm: what was sent and not answered lies in the session (``RadioParameters.asked``), and only how
often it was asked is forgotten. Made when first needed: most of a million meters are in step and have none.
"""

from __future__ import annotations

from lorawan.commands import Command

DISTANCES = (1, 2, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 64)
"""Uplinks from one try to the next while no answer comes."""
AT_LEAST_EVERY_US = 86_400_000_000
"""A device that sends once a day is asked once a day, whatever the distance."""


class Asking:
    """A request that was sent and not answered yet."""

    __slots__ = ("f_cnt", "mono_us", "tries")

    def __init__(self) -> None:
        self.tries = 0
        self.f_cnt = 0
        """FCntUp of the uplink that the last try answered."""
        self.mono_us = 0

    def sent(self, f_cnt: int, mono_us: int) -> None:
        self.tries += 1
        self.f_cnt, self.mono_us = f_cnt, mono_us

    def is_due(self, f_cnt: int, mono_us: int) -> bool:
        """Is it time for another try, in answer to the uplink ``f_cnt``?"""
        distance = DISTANCES[min(self.tries, len(DISTANCES)) - 1] if self.tries else 0
        return f_cnt - self.f_cnt >= distance or mono_us - self.mono_us >= AT_LEAST_EVERY_US


class Refusal:
    """What a device refused: the request, which part of it, how often in a row, until when it is left in peace."""

    __slots__ = ("count", "parts", "request", "until_mono_us", "until_us")

    def __init__(self, request: Command) -> None:
        self.request = request
        self.parts: tuple[str, ...] = ()
        self.count = 0
        self.until_us: int | None = None
        """Wall clock, for people; None: it will be asked again soon."""
        self.until_mono_us: int | None = None

    def holds(self, mono_us: int) -> bool:
        """True while the device is not to be asked this."""
        return self.until_mono_us is not None and mono_us < self.until_mono_us


class MacState:
    """Requests under way, and what was refused."""

    __slots__ = ("asking", "postponed", "refusals", "status_asked", "sticky", "unsupported", "wishes")

    def __init__(self) -> None:
        self.asking: dict[int, Asking] | None = None
        """By CID."""
        self.refusals: dict[bytes, Refusal] | None = None
        """By the request as it travels."""
        self.postponed = 0
        """Uplinks in a row whose answer had no room for a request."""
        self.sticky = 0
        """Uplinks in a row that repeated an answer because no downlink reached the device."""
        self.status_asked = False
        self.unsupported = 0
        """Commands that the device's version does not know, or that no such device should send."""
        self.wishes: list[Command] | None = None
        """Commands to be sent once: an operator's, or what follows from a device's word."""

    @property
    def is_empty(self) -> bool:
        """Nothing to remember: a million devices in step need no such object."""
        return not (
            self.asking
            or self.refusals
            or self.wishes
            or self.postponed
            or self.sticky
            or self.status_asked
            or self.unsupported
        )

    def asking_of(self, cid: int) -> Asking:
        """How it stands with a command, made when first needed."""
        if self.asking is None:
            self.asking = {}
        return self.asking.setdefault(cid, Asking())

    def is_due(self, cid: int, f_cnt: int, mono_us: int) -> bool:
        """May this command be asked in answer to the uplink ``f_cnt``?"""
        asking = self.asking.get(cid) if self.asking is not None else None
        return asking is None or asking.is_due(f_cnt, mono_us)

    def answered(self, cid: int) -> None:
        """An answer came: nothing of this command is under way."""
        if self.asking is not None:
            self.asking.pop(cid, None)
            self.asking = self.asking or None

    def refusal_of(self, request: Command) -> Refusal | None:
        return self.refusals.get(request.encode()) if self.refusals is not None else None

    def refused(self, request: Command) -> Refusal:
        """The record of this request's refusals, made when first needed."""
        if self.refusals is None:
            self.refusals = {}
        return self.refusals.setdefault(request.encode(), Refusal(request))

    def accepted(self, request: Command) -> None:
        if self.refusals is not None:
            self.refusals.pop(request.encode(), None)
            self.refusals = self.refusals or None

    def was_asked(self, cid: int) -> bool:
        """True when this command was sent and its answer has not come."""
        return self.asking is not None and cid in self.asking

    def wish_of(self, kind: type[Command]) -> Command | None:
        """The first wish of a kind."""
        return next((one for one in self.wishes or () if isinstance(one, kind)), None)

    def wish(self, command: Command) -> None:
        """Send this when there is a chance. A wish stands until :meth:`fulfilled`."""
        if self.wishes is None:
            self.wishes = []
        if command not in self.wishes:
            self.wishes.append(command)

    def replace_wish(self, command: Command) -> None:
        """The one wish of its kind."""
        self.wishes = [one for one in self.wishes or () if type(one) is not type(command)]
        self.wish(command)

    def fulfilled(self, kind: type[Command]) -> None:
        """The first wish of a kind has come true."""
        first = self.wish_of(kind)
        self.wishes = [one for one in self.wishes or () if one is not first] or None
        self.answered(kind.cid)  # type: ignore[arg-type]

    def forget_requests(self) -> None:
        """The device has begun anew."""
        self.asking = self.refusals = None
        self.postponed = self.sticky = 0
