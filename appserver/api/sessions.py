"""A device's session and its downlink queue."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field, StringConstraints, model_validator

from appserver.api.devices import DevicePath, find_device
from appserver.api.fields import Base64, DevAddrHex, Input, Key128, Output, Page, Time, microseconds_of, time_of
from appserver.api.problems import Problem, invalid, not_found
from appserver.api.router import Api, Call
from appserver.codecs import CommandError
from appserver.codecs import encode as encode_command
from internalapi import adr
from internalapi import messages as m
from internalapi.client import ApiError
from internalapi.mac import MacReport as MacRecord

api = Api("Devices")

Counter = Annotated[int, Field(ge=0, le=2**32 - 1)]
IdempotencyKey = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]


class ClassB(Output):
    """Of a device whose profile is of class B: the beacon lock and its ping slots."""

    locked: bool
    ping_slot_periodicity: int | None
    ping_slot_frequency_hz: int
    ping_slot_dr: int | None
    next_ping_slot_at: Time | None
    gateways: int


class AdrReason(Output):
    """One decision of ADR: a code and its numbers."""

    code: str
    text: str
    """The same in English."""
    dr_from: int
    dr_to: int
    tx_power_from: int
    tx_power_to: int
    nb_trans_from: int
    nb_trans_to: int
    frames: int
    snr_db: float
    spread_db: float
    spare_db: float
    margin_db: float
    loss: float
    expected: float


class AdrDecision(Output):
    time: Time
    reason: AdrReason


class Adr(Output):
    """ADR of a session: the algorithm, its last changes, and what it thinks of the link now."""

    algorithm: str
    decisions: list[AdrDecision]
    present: AdrReason | None
    waiting: bool
    uncertain: bool
    pause: int


class MacChannel(Output):
    """An uplink channel of a device."""

    index: int
    frequency_hz: int
    min_dr: int
    max_dr: int
    downlink_frequency_hz: int
    enabled: bool


class MacParameters(Output):
    """Everything that MAC commands set."""

    rx1_delay_s: int
    rx1_dr_offset: int
    rx2_dr: int
    rx2_frequency_hz: int
    channels: list[MacChannel]
    max_duty_cycle: int
    uplink_dwell_time: bool
    downlink_dwell_time: bool
    max_eirp_dbm: float
    adr_ack_limit: int
    adr_ack_delay: int
    rejoin_time_s: int | None
    rejoin_count: int | None
    ping_slot_frequency_hz: int
    ping_slot_dr: int | None
    ping_slot_period_s: int | None
    beacon_frequency_hz: int


class MacRequest(Output):
    """A request that was sent and not answered yet."""

    request: str
    answer: str
    text: str
    tries: int


class MacRefusal(Output):
    """A request that the device refused; it is not asked again before ``until``."""

    request: str
    parts: list[str]
    text: str
    count: int
    until: Time | None


class MacReport(Output):
    """What the device uses, what it should use, and what stands between."""

    state: Literal["in_step", "waiting", "to_ask", "refused"]
    text: str
    current: MacParameters
    desired: MacParameters
    under_way: list[MacRequest]
    to_ask: list[str]
    refusals: list[MacRefusal]
    unsupported: int


class Session(Output):
    """A session without its keys: counters and the state of the MAC layer."""

    dev_eui: str
    dev_addr: str
    mac_version: str
    activated_at: Time
    confirmed_by_uplink: bool
    fcnt_up: int | None
    fcnt_down: int
    afcnt_down: int
    rx1_delay_s: int
    rx1_dr_offset: int
    rx2_dr: int
    rx2_frequency_hz: int
    channels_hz: list[int]
    dr: int | None
    tx_power_index: int
    nb_trans: int
    adr_reason: str
    adr: Adr | None
    device_class: str
    class_b: ClassB | None
    mac: MacReport | None


class NewSession(Input):
    """An ABP session, or one taken over from another server."""

    dev_addr: DevAddrHex
    app_s_key: Key128
    nwk_s_key: Key128 | None = None
    """1.0.x: the one network key."""
    f_nwk_s_int_key: Key128 | None = None
    s_nwk_s_int_key: Key128 | None = None
    nwk_s_enc_key: Key128 | None = None
    fcnt_up: Counter = 0
    fcnt_down: Counter = 0
    afcnt_down: Counter = 0

    @model_validator(mode="after")
    def _network_keys_are_complete(self) -> NewSession:
        three = (self.f_nwk_s_int_key, self.s_nwk_s_int_key, self.nwk_s_enc_key)
        if self.nwk_s_key and any(three):
            raise ValueError("give nwk_s_key (1.0.x) or the three network keys of 1.1, not both")
        if not self.nwk_s_key and not all(three):
            raise ValueError("give nwk_s_key (1.0.x) or all three of f_nwk_s_int_key, s_nwk_s_int_key, nwk_s_enc_key")
        return self


NESTED = ("class_b", "adr", "mac")


def session_view(record: m.SessionRecord) -> Session:
    """The API's form of a session."""
    names = [name for name in Session.model_fields if name in m.SessionRecord.__struct_fields__ and name not in NESTED]
    return Session.model_construct(
        **{name: getattr(record, name) for name in names},
        class_b=_class_b_view(record.class_b),
        mac=_mac_view(record.mac),
        adr=_adr_view(record.adr),
        activated_at=time_of(record.activated_at_us),
        fcnt_up=record.f_cnt_up,
        fcnt_down=record.f_cnt_down,
        afcnt_down=record.a_f_cnt_down,
    )


def _adr_view(state: m.AdrState | None) -> Adr | None:
    if state is None:
        return None
    return Adr.model_construct(
        algorithm=state.algorithm,
        decisions=[
            AdrDecision.model_construct(time=time_of(one.time_us), reason=_reason_view(one.reason))
            for one in state.decisions
        ],
        present=_reason_view(state.present) if state.present is not None else None,
        waiting=state.waiting,
        uncertain=state.uncertain,
        pause=state.pause,
    )


def _reason_view(reason: adr.AdrReason) -> AdrReason:
    return AdrReason.model_construct(**msgspec.structs.asdict(reason), text=adr.in_english(reason))


def _mac_view(report: MacRecord | None) -> MacReport | None:
    if report is None:
        return None
    values = msgspec.to_builtins(report)
    for refusal in values["refusals"]:
        refusal["until"] = time_of(refusal.pop("until_us"))
    return MacReport.model_validate(values)


def _class_b_view(state: m.ClassBState | None) -> ClassB | None:
    if state is None:
        return None
    names = [name for name in ClassB.model_fields if name in m.ClassBState.__struct_fields__]
    return ClassB.model_construct(
        **{name: getattr(state, name) for name in names}, next_ping_slot_at=time_of(state.next_ping_slot_us)
    )


@api.add("GET", "/devices/{dev_eui}/session", answers=Session, summary="Show a device's session")
async def get_session(call: Call, path: DevicePath) -> Session:
    try:
        return session_view(await call.services.network.session(key=path.dev_eui))
    except ApiError as error:
        if error.problem.code == "not_found":
            raise not_found("session of device", path.dev_eui) from error
        raise


@api.add("PUT", "/devices/{dev_eui}/session", answers=Session, summary="Set a device's session (ABP)")
async def put_session(call: Call, path: DevicePath, body: NewSession) -> Session:
    await find_device(call, path.dev_eui)
    await call.services.network.session_put(
        dev_eui=path.dev_eui,
        dev_addr=body.dev_addr,
        app_s_key=body.app_s_key,
        nwk_s_key=body.nwk_s_key or "",
        f_nwk_s_int_key=body.f_nwk_s_int_key or "",
        s_nwk_s_int_key=body.s_nwk_s_int_key or "",
        nwk_s_enc_key=body.nwk_s_enc_key or "",
        f_cnt_up=body.fcnt_up,
        f_cnt_down=body.fcnt_down,
        a_f_cnt_down=body.afcnt_down,
    )
    await call.audit("session.set", f"device/{path.dev_eui}", {"dev_addr": body.dev_addr})
    return await get_session(call, path)


@api.add("DELETE", "/devices/{dev_eui}/session", answers=None, status=204, summary="Drop a device's session")
async def delete_session(call: Call, path: DevicePath) -> None:
    await get_session(call, path)
    await call.services.network.session_delete(key=path.dev_eui)
    await call.audit("session.delete", f"device/{path.dev_eui}")


class NewRejoin(Input):
    """Have a LoRaWAN 1.1 device join anew: type 0 a new session, type 2 new keys only."""

    rejoin_type: Literal[0, 2] = 0
    dr: Annotated[int, Field(ge=0, le=15)] | None = None
    """Data rate of the rejoin-request; null: that of the last uplink."""


@api.add("POST", "/devices/{dev_eui}/session/rejoin", answers=None, status=204, summary="Have a device join anew")
async def post_rejoin(call: Call, path: DevicePath, body: NewRejoin) -> None:
    await find_device(call, path.dev_eui)
    await call.services.network.rejoin(dev_eui=path.dev_eui, rejoin_type=body.rejoin_type, dr=body.dr)
    await call.audit("session.rejoin", f"device/{path.dev_eui}", {"rejoin_type": body.rejoin_type})


class QueueItem(Output):
    """An item of the downlink queue; ``state`` is where it is, ``reason`` says why."""

    id: str
    dev_eui: str
    f_port: int
    data: Base64
    confirmed: bool
    state: str
    reason: str
    created_at: Time
    expires_at: Time | None
    fcnt_down: int | None
    attempts: int
    attempts_made: int
    at_most_once: bool


class NewQueueItem(Input):
    """Bytes for a device (``data``), or an ``object`` that its codec encodes."""

    f_port: int | None = Field(None, ge=1, le=223)
    data: Annotated[Base64, Field(max_length=242)] | None = None
    object: dict[str, Any] | None = None
    confirmed: bool = False
    attempts: int | None = Field(None, ge=1, le=10)
    """How often a confirmed item is sent until it is acknowledged; without it as the profile says."""
    at_most_once: bool = False
    """Never sent again once it may have been on the air: for valves and relays. Not together with ``confirmed``."""
    expires_at: Time | None = None


def queue_view(item: m.QueueItem) -> QueueItem:
    """The API's form of a queue item."""
    return QueueItem.model_construct(
        id=item.id,
        dev_eui=item.dev_eui,
        f_port=item.f_port,
        data=item.data,
        confirmed=item.confirmed,
        state=item.state,
        reason=item.reason,
        created_at=time_of(item.created_at_us),
        expires_at=time_of(item.expires_at_us),
        fcnt_down=item.f_cnt_down,
        attempts=item.attempts,
        attempts_made=item.attempts_made,
        at_most_once=item.at_most_once,
    )


async def enqueue(call: Call, dev_eui: str, body: NewQueueItem, idempotency_key: str = "") -> m.QueueItem:
    """Put an item into the device's queue; the same ``idempotency_key`` gives the same item again."""
    device = await find_device(call, dev_eui)
    if (body.data is None) == (body.object is None):
        raise invalid("data", "give either data or object")
    f_port, data = body.f_port, body.data
    if body.object is not None:
        try:
            own_port, data = encode_command(device.codec, body.object)
        except CommandError as error:
            raise invalid(".".join(filter(None, ("object", error.key))), error.reason) from error
        f_port = f_port or own_port
    if f_port is None:
        raise invalid("f_port", "is required with data")
    item: m.QueueItem = await call.services.network.queue_put(
        dev_eui=dev_eui,
        f_port=f_port,
        data=data,
        confirmed=body.confirmed,
        expires_at_us=microseconds_of(body.expires_at) if body.expires_at else None,
        idempotency_key=idempotency_key,
        attempts=body.attempts,
        at_most_once=body.at_most_once,
    )
    await call.audit("queue.add", f"device/{dev_eui}", {"id": item.id, "f_port": f_port, "bytes": len(data or b"")})
    return item


@api.add("GET", "/devices/{dev_eui}/queue", answers=Page[QueueItem], summary="List a device's downlink queue")
async def list_queue(call: Call, path: DevicePath) -> Page[QueueItem]:
    await find_device(call, path.dev_eui)
    queue = await call.services.network.queue(key=path.dev_eui)
    return Page(items=[queue_view(item) for item in queue.items])


@api.add(
    "POST",
    "/devices/{dev_eui}/queue",
    answers=QueueItem,
    status=201,
    summary="Queue a downlink",
    headers=("Idempotency-Key",),
)
async def post_queue(call: Call, path: DevicePath, body: NewQueueItem) -> QueueItem:
    key = call.request.headers.get("Idempotency-Key", "")
    if len(key) > 200 or not key.isascii() or not key.isprintable():
        raise Problem(422, "Idempotency-Key: at most 200 printable ASCII characters.")
    return queue_view(await enqueue(call, path.dev_eui, body, key))


@api.add("DELETE", "/devices/{dev_eui}/queue", answers=None, status=204, summary="Empty a device's downlink queue")
async def delete_queue(call: Call, path: DevicePath) -> None:
    await find_device(call, path.dev_eui)
    await call.services.network.queue_delete(key=path.dev_eui)
    await call.audit("queue.empty", f"device/{path.dev_eui}")
