"""One frame of the log with its way: who heard it, when it was on the disk, handed over and answered."""

from __future__ import annotations

from typing import NamedTuple

from aiohttp import web

from appserver.api.frames import find_frame
from appserver.api.problems import Problem
from appserver.api.router import Call
from appserver.web.forms import call_of
from appserver.web.i18n import N_
from appserver.web.i18n import gettext as _
from appserver.web.render import page
from internalapi import messages as m

STEPS = {
    "accepted": N_("on the disk, acknowledged"),
    "handed over": N_("handed over to the application"),
    "committed": N_("downlink decided and on the disk"),
    "heard by": N_("heard by"),
    "TX_ACK NONE": N_("the gateway has it in its queue"),
    "TX_ACK": N_("the gateway refused it"),
}
"""Steps by how they begin."""


class Mark(NamedTuple):
    """One step on the common line of an uplink and its answer."""

    after_ms: float
    text: str
    share: float
    """Where on the line, 0 to 100."""
    kind: str
    """``up`` or ``down``."""


async def frame(request: web.Request) -> web.Response:
    """A frame, the frame that it answers or that answers it, and the line of their steps."""
    call = call_of(request)
    shown = await find_frame(call, int(request.match_info["id"][:18]))
    other = await _other(call, shown)
    first = min((shown, other or shown), key=lambda one: one.time_us)
    return page(request, "frame.html", frame=shown, other=other, marks=marks(shown, other), start_us=first.time_us)


async def _other(call: Call, shown: m.FrameRecord) -> m.FrameRecord | None:
    wanted = shown.reply_to or shown.downlink_id
    if not wanted:
        return None
    try:
        return await find_frame(call, wanted)
    except Problem:
        return None


def marks(shown: m.FrameRecord, other: m.FrameRecord | None) -> list[Mark]:
    """The steps of both by time."""
    frames = [one for one in (shown, other) if one is not None]
    start_us = min(one.time_us for one in frames)
    steps = [
        (one.time_us - start_us + us, step, "down" if one.timeline and _is_down(one) else "up")
        for one in frames
        for step, us in one.timeline
    ]
    last_us = max((us for us, _, _ in steps), default=0) or 1
    return [Mark(us / 1000, said(step), 100 * max(0, us) / last_us, kind) for us, step, kind in sorted(steps)]


def _is_down(frame: m.FrameRecord) -> bool:
    return frame.type in ("down", "join_accept")


def said(step: str) -> str:
    """A step in the reader's language; what follows its beginning stays as it is."""
    for begin, words in STEPS.items():
        if step == begin or step.startswith((begin + " ", begin + ",")):
            return f"{_(words)}{step[len(begin) :]}" if begin != "handed over" or step == begin else _to_gateway(step)
    return step


def _to_gateway(step: str) -> str:
    return _("handed to the gateway") + step.removeprefix("handed over")
