"""What ADR remembers of a session: the last frames, what was agreed, asked and refused.

A million devices have one each, so between frames it is a short byte string (76 bytes with a full history), which the
session's row keeps: a restart forgets nothing (INV-36). :meth:`Memory.unpack` makes it an object for the time of one uplink.

The order within an uplink: :meth:`answered` when the frame carries LinkADRAns, then :meth:`heard`, then, if a downlink is
possible and :attr:`may_ask`, an algorithm and :meth:`asked`.
"""

from __future__ import annotations

from struct import Struct

from lns.adr.interface import HISTORY, Sample

ANSWER_WITHIN = 3
"""Uplinks in which the answer may come."""
MAX_REFUSALS = 3
"""After so many requests in a row refused, unanswered or not obeyed, the device is left in peace for a while."""
FIRST_PAUSE = 64
"""Uplinks of that while; doubled each time, at most :data:`LONGEST_PAUSE`."""
LONGEST_PAUSE = 512
SETTLED_EVERY_S = 600
LOOK_EVERY_S = 60
"""The link of a device that sends more often than so is looked at with its first frame of each such time, and after a loss;
with the last one of a whole history, and of one that is settled (such a history since the last change) more seldom."""
UNKNOWN = 15
"""Data rate or power index: not known, no limit."""
SNR_STEP_DB = 0.25

_HEAD = Struct("<IIIHBBBBBBB")
_SAMPLE = Struct("<bBB")
NO_LOSS = b"\x0f"
"""Above it, the second byte of a sample tells frames lost before it."""
_UNCERTAIN = 1
_TAKEN = 2


class Memory:
    """See the module."""

    __slots__ = (
        "_samples",
        "asked_dr",
        "asked_f_cnt",
        "asked_nb_trans",
        "asked_tx_power",
        "dr",
        "f_cnt",
        "heard_s",
        "max_dr",
        "max_tx_power",
        "min_tx_power",
        "nb_trans",
        "pause",
        "quiet_s",
        "refusals",
        "settled",
        "since",
        "started",
        "taken",
        "tx_power",
        "uncertain",
    )

    def __init__(self, tx_power: int = 0, nb_trans: int = 1) -> None:
        self.started = False
        """False until the first uplink."""
        self.f_cnt = 0
        """FCntUp of the last uplink."""
        self.heard_s = 0
        """When it was heard, seconds of UTC."""
        self.quiet_s = 0
        """From the uplink before to the last one."""
        self.settled = False
        """The last uplink was one of a link whose whole history is of the present setting."""
        self.dr = UNKNOWN
        """What the device uses, as far as it is known."""
        self.tx_power = tx_power
        self.nb_trans = nb_trans
        self.uncertain = False
        """The device may use another power than that: it backed off, or took a request whose answer was lost."""
        self.asked_dr = self.asked_tx_power = self.asked_f_cnt = 0
        self.asked_nb_trans = 0
        """0: no request is under way."""
        self.max_dr = UNKNOWN
        """Highest data rate that the device has not refused."""
        self.max_tx_power = UNKNOWN
        self.min_tx_power = 0
        self.refusals = 0
        """Requests refused, left without an answer or not obeyed, in a row."""
        self.pause = 0
        """Uplinks for which nothing is asked."""
        self.taken = False
        """The device agreed to the last request; whether it obeys shows its next frame."""
        self.since = 0
        """Samples since the last change."""
        self._samples = b""

    # ------------------------------------------------------------------------------------------------ byte strings

    @classmethod
    def unpack(cls, data: bytes, tx_power: int = 0, nb_trans: int = 1) -> Memory:
        """What :meth:`pack` made; of an empty string a new one, with the power and NbTrans known from elsewhere."""
        memory = cls(tx_power, nb_trans)
        if len(data) < _HEAD.size:
            return memory
        (
            memory.f_cnt,
            memory.heard_s,
            memory.asked_f_cnt,
            memory.pause,
            used,
            nb_trans_flags,
            asked,
            asked_nb_trans,
            limits,
            min_tx_power,
            since_refusals,
        ) = _HEAD.unpack_from(data)
        memory.started = True
        memory.dr, memory.tx_power = used >> 4, used & 15
        memory.nb_trans, memory.uncertain = nb_trans_flags >> 4, bool(nb_trans_flags & _UNCERTAIN)
        memory.taken = bool(nb_trans_flags & _TAKEN)
        memory.asked_dr, memory.asked_tx_power, memory.asked_nb_trans = asked >> 4, asked & 15, asked_nb_trans
        memory.max_dr, memory.max_tx_power, memory.min_tx_power = limits >> 4, limits & 15, min_tx_power
        memory.since, memory.refusals = since_refusals & 31, since_refusals >> 5
        memory._samples = data[_HEAD.size :]
        return memory

    def pack(self) -> bytes:
        return (
            _HEAD.pack(
                self.f_cnt & 0xFFFFFFFF,
                self.heard_s & 0xFFFFFFFF,
                self.asked_f_cnt & 0xFFFFFFFF,
                self.pause,
                self.dr << 4 | self.tx_power,
                self.nb_trans << 4 | (_TAKEN if self.taken else 0) | (_UNCERTAIN if self.uncertain else 0),
                self.asked_dr << 4 | self.asked_tx_power,
                self.asked_nb_trans,
                self.max_dr << 4 | self.max_tx_power,
                self.min_tx_power,
                min(self.refusals, 7) << 5 | self.since,
            )
            + self._samples
        )

    @property
    def samples(self) -> list[Sample]:
        """The last uplinks whose power is known, oldest first."""
        f_cnt = self.f_cnt
        found = []
        for snr, lost_power, gateways in reversed(list(_SAMPLE.iter_unpack(self._samples))):
            found.append(Sample(f_cnt, snr * SNR_STEP_DB, lost_power & 15, gateways))
            f_cnt -= 1 + (lost_power >> 4)
        found.reverse()
        return found

    def forget(self) -> None:
        """The samples say nothing of the link any more."""
        self._samples, self.since = b"", 0

    # ----------------------------------------------------------------------------------------------------- uplinks

    def heard(
        self,
        f_cnt: int,
        heard_s: int,
        dr: int,
        snr_db: float | None,
        gateways: int,
        adr_ack_req: bool,
        excused: int = 0,
    ) -> None:
        """An uplink with the ADR bit. ``excused``: how many of the frames missing before it nobody could have heard."""
        lost = max(0, min(15, f_cnt - self.f_cnt - 1 - excused)) if self.started else 0
        self.quiet_s = heard_s - self.heard_s if self.started else 0
        self.started, self.f_cnt, self.heard_s = True, f_cnt, heard_s
        if self.pause:
            self.pause -= 1
        self._compare(dr, adr_ack_req)
        if self.asked_nb_trans and f_cnt - self.asked_f_cnt > ANSWER_WITHIN:
            self._unanswered()
        if adr_ack_req and self.tx_power:
            # No downlink for long: by now it may have raised its power (TS001-1.0.4 §4.3.1.1).
            self.uncertain = True
        self.settled = self.since >= HISTORY
        if snr_db is None or (self.uncertain and self.tx_power):
            return
        snr = max(-128, min(127, round(snr_db / SNR_STEP_DB)))
        sample = _SAMPLE.pack(snr, lost << 4 | self.tx_power, min(gateways, 255))
        self._samples = (self._samples + sample)[-HISTORY * _SAMPLE.size :]
        self.since = min(self.since + 1, HISTORY)

    def _compare(self, dr: int, adr_ack_req: bool) -> None:
        """Does the device use the data rate that was agreed?"""
        expected, self.dr = self.dr, dr
        if expected in (UNKNOWN, dr):
            if self.taken:
                self.taken, self.refusals = False, 0
            return
        if self.asked_nb_trans and dr == self.asked_dr:
            self._take()  # it obeys, so it has agreed: only its answer was lost
            return
        # Its own back-off, a restart, or it does not obey. In the first two cases it sends with full power.
        self.forget()
        self.uncertain, self.tx_power, self.taken = True, 0, False
        if not adr_ack_req:
            self._refused()

    def _unanswered(self) -> None:
        self.asked_nb_trans = 0
        self.uncertain = True
        self._refused()

    def _refused(self) -> None:
        self.refusals = min(self.refusals + 1, 7)
        if self.refusals >= MAX_REFUSALS:
            self.pause = min(FIRST_PAUSE << self.refusals - MAX_REFUSALS, LONGEST_PAUSE)

    # ---------------------------------------------------------------------------------------------------- requests

    def may_ask(self, adr_ack_req: bool) -> bool:
        """Nothing is under way, and the device has not refused too often. Who asks for a sign gets one all the same."""
        return not self.asked_nb_trans and (adr_ack_req or not self.pause)

    def is_due(self, adr_ack_req: bool, first: bool = False) -> bool:
        """Is the link to be looked at after this uplink? Looking costs as much as all the rest of an uplink.

        ``first``: the first frame alone is reason enough, for algorithms that decide on it.
        """
        every_s = SETTLED_EVERY_S if self.settled else LOOK_EVERY_S
        return (
            self.heard_s // every_s != (self.heard_s - self.quiet_s) // every_s
            or adr_ack_req
            or self.uncertain
            or (first and self.since <= 1)
            or (self.since == HISTORY and not self.settled)
            or self._samples[1 - _SAMPLE.size :][:1] > NO_LOSS
        )

    def asked(self, dr: int, tx_power: int, nb_trans: int) -> None:
        """A LinkADRReq goes down with the answer to the uplink heard last."""
        self.asked_dr, self.asked_tx_power, self.asked_nb_trans = dr, tx_power, nb_trans
        self.asked_f_cnt = self.f_cnt

    def answered(self, channels: bool, data_rate: bool, power: bool) -> bool:
        """LinkADRAns. Returns True when the request is in force; a partial refusal is information about the device."""
        if not self.asked_nb_trans:
            self.uncertain = True  # an answer to nothing that we know of
            return False
        if channels and data_rate and power:
            self._take()
            return True
        self.asked_nb_trans = 0
        learnt = not power and self._learn_power(self.asked_tx_power)
        if not data_rate and self.asked_dr > 0:
            self.max_dr = self.asked_dr - 1
        if not data_rate or not channels or not learnt:
            self._refused()
        return False

    def _learn_power(self, index: int) -> bool:
        """Its table of powers is shorter than the region's: that is news, no failure. The way to its end is halved.

        Returns False when it refuses what it had to take already.
        """
        known = 0 if self.uncertain else self.tx_power
        before = self.min_tx_power, self.max_tx_power
        if index > known:
            self.max_tx_power = (known + index) // 2
        elif index:
            self.max_tx_power = index - 1
        else:
            self.min_tx_power = 1
        return before != (self.min_tx_power, self.max_tx_power)

    def _take(self) -> None:
        """The device uses what was asked."""
        self.dr, self.tx_power, self.nb_trans = self.asked_dr, self.asked_tx_power, self.asked_nb_trans
        self.asked_nb_trans = 0
        self.uncertain, self.taken = False, True
        self.since = 0


_NOTED = Struct("<II")
_DR_AT, _FLAGS_AT, _ASKED_AT, _SINCE_AT = 14, 15, 17, 20


def heard_in_step(
    data: bytes, f_cnt: int, heard_s: int, dr: int, snr_db: float, gateways: int
) -> tuple[bytes, bool] | None:
    """:meth:`Memory.heard` for the ordinary uplink, without making an object: a third of its time, and it is the hot path.

    Returns the packed memory with this uplink, and whether the link is to be looked at now (:meth:`Memory.is_due`). None when
    there is anything to think about: a request under way or in doubt, a pause, lost frames, another data rate. Not for
    uplinks with ADRACKReq.
    """
    if len(data) <= _HEAD.size:
        return None
    before_f_cnt, before_s = _NOTED.unpack_from(data)
    since = data[_SINCE_AT] & 31
    used = data[_DR_AT]
    if (
        f_cnt != before_f_cnt + 1
        or used >> 4 != dr
        or not since
        or data[_ASKED_AT]
        or data[_FLAGS_AT] & (_UNCERTAIN | _TAKEN)
        or data[12:14] != b"\0\0"  # the pause
    ):
        return None
    snr = max(-128, min(127, round(snr_db / SNR_STEP_DB)))
    sample = _SAMPLE.pack(snr, used & 15, min(gateways, 255))
    first = _HEAD.size if len(data) < _FULL else _HEAD.size + _SAMPLE.size
    since_byte = data[_SINCE_AT] + (since < HISTORY)
    noted = _NOTED.pack(f_cnt & 0xFFFFFFFF, heard_s & 0xFFFFFFFF)
    packed = noted + data[8:_SINCE_AT] + bytes((since_byte,)) + data[first:] + sample
    every_s = SETTLED_EVERY_S if since >= HISTORY else LOOK_EVERY_S
    return packed, heard_s // every_s != before_s // every_s or since == HISTORY - 1


_FULL = _HEAD.size + HISTORY * _SAMPLE.size
