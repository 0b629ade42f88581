"""What a device still has to say: payloads, answers to MAC commands, requests; and how they share an uplink."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lorasim.mac import Answers
from lorasim.manners import Manners
from lorawan.commands import Command
from lorawan.frames import MAX_F_OPTS


@dataclass(slots=True)
class Message:
    """An application payload on its way; ``tag`` comes back in the notes."""

    f_port: int
    data: bytes
    confirmed: bool = False
    tag: object = None


@dataclass(slots=True)
class Sending:
    """The uplink in progress: its content is fixed, each transmission draws its channel."""

    f_port: int | None
    payload: bytes
    f_opts: bytes = b""
    confirmed: bool = False
    tag: object = None
    adr_ack_req: bool = False
    conf_f_cnt: int | None = None
    """Counter of the confirmed downlink that this frame acknowledges."""
    transmissions: int = 0
    acked: bool = False
    answered: bool = False
    """Any downlink came in its windows."""

    @property
    def done(self) -> bool:
        return self.acked if self.confirmed else self.answered


@dataclass(slots=True)
class Outbox:
    """See the module."""

    queue: list[Message] = field(default_factory=list)
    wishes: list[Command] = field(default_factory=list)
    """Requests that ride with the next uplink: LinkCheckReq, DeviceTimeReq."""
    _answers: list[Command] = field(default_factory=list)
    _sticky: list[Command] = field(default_factory=list)
    _late: list[tuple[int, list[Command], list[Command]]] = field(default_factory=list)

    def add(self, answers: Answers, manners: Manners) -> None:
        """Answers to a downlink's commands, as far as and when the device's manners let it send them."""
        plain = [one for one in answers.commands if manners.answers(type(one).__name__)]
        sticky = [one for one in answers.sticky if manners.answers(type(one).__name__)]
        if not manners.sticky:
            plain, sticky = plain + sticky, []
        if manners.late:
            self._late.append((manners.late, plain, sticky))
        else:
            self._answers += plain
            self._sticky += sticky

    def _ripen(self) -> None:
        """Answers that are late come one uplink nearer."""
        waiting, self._late = self._late, []
        for uplinks, plain, sticky in waiting:
            if uplinks:
                self._late.append((uplinks - 1, plain, sticky))
            else:
                self._answers += plain
                self._sticky += sticky

    def heard_downlink(self) -> None:
        """A class A downlink came: repeated answers have arrived (TS001-1.0.4 §5)."""
        self._sticky = []

    def forget_mac(self) -> None:
        self._answers, self._sticky, self._late = [], [], []

    def compose(self, limit: int, first: Sequence[Command]) -> Sending:
        """The next uplink: MAC commands, as many as fit, and a payload if it fits beside them.

        ``limit``: the longest FRMPayload with empty FOpts; ``first``: commands before all others.
        """
        self._ripen()
        waiting = [command.encode() for command in (*first, *self._sticky, *self._answers, *self.wishes)]
        self._answers, self.wishes = [], []
        length = sum(map(len, waiting))
        if length > MAX_F_OPTS:
            return Sending(0, _as_many_as_fit(waiting, limit))
        f_opts = b"".join(waiting)
        if not self.queue or length + len(self.queue[0].data) > limit:
            return Sending(None, b"", f_opts)
        message = self.queue.pop(0)
        return Sending(message.f_port, message.data, f_opts, message.confirmed, message.tag)

    def too_long(self, limit: int) -> Message | None:
        """Take out the next payload when no uplink at this data rate can carry it."""
        return self.queue.pop(0) if self.queue and len(self.queue[0].data) > limit else None


def _as_many_as_fit(commands: Sequence[bytes], limit: int) -> bytes:
    block = b""
    for command in commands:
        if len(block) + len(command) > limit:
            break  # an answer is never cut in two, and none jumps the queue
        block += command
    return block
