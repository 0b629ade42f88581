"""The state of the network process."""

from __future__ import annotations

from appserver.api.fields import Output, Time, time_of
from appserver.api.router import Api, Call
from internalapi import messages as m

api = Api("Status")


class FrameLog(Output):
    """What the frame log takes on the disk, and what it will take."""

    frames: int
    bytes: int
    bytes_per_frame: float
    oldest: Time | None
    frames_per_day: float
    bytes_when_full: int
    disk_free_bytes: int
    days_left: float | None


class Status(Output):
    """What the network process says of itself."""

    version: str
    started_at: Time
    region: str
    devices: int
    sessions: int
    gateways: int
    gateways_online: int
    last_event_id: int
    storage: str
    counters: dict[str, int]
    frame_log: FrameLog | None


@api.add("GET", "/status", answers=Status, summary="State of the network process")
async def get_status(call: Call) -> Status:
    status = await call.services.network.status()
    names = [name for name in Status.model_fields if name not in ("started_at", "frame_log")]
    return Status.model_construct(
        **{name: getattr(status, name) for name in names},
        started_at=time_of(status.started_at_us),
        frame_log=_frame_log(status.frame_log),
    )


def _frame_log(log: m.FrameLogStatus | None) -> FrameLog | None:
    if log is None:
        return None
    names = [name for name in FrameLog.model_fields if name != "oldest"]
    return FrameLog.model_construct(**{name: getattr(log, name) for name in names}, oldest=time_of(log.oldest_us))
