"""The state of the network process."""

from __future__ import annotations

from appserver.api.fields import Output, Time, time_of
from appserver.api.router import Api, Call

api = Api("Status")


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


@api.add("GET", "/status", answers=Status, summary="State of the network process")
async def get_status(call: Call) -> Status:
    status = await call.services.network.status()
    names = [name for name in Status.model_fields if name != "started_at"]
    return Status.model_construct(
        **{name: getattr(status, name) for name in names}, started_at=time_of(status.started_at_us)
    )
