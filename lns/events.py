"""Events that the network hands over, made from what the server knows. One function an event type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from internalapi.messages import AppSKeyEnvelope, Event, Reception

if TYPE_CHECKING:
    from lns.device import Device
    from lns.downlink.queue import Item
    from lns.gateways.frames import RxFrame
    from lns.gateways.gateway import Gateway
    from lns.session import Session
    from lns.state import NetworkState
    from lns.uplink.gather import Gathered
    from lorawan.crypto import KeyEnvelope


def receptions(copies: list[RxFrame]) -> tuple[Reception, ...]:
    """Receptions of a frame from its :func:`best_copies`."""
    frequency_hz = copies[0].frequency_hz
    return tuple(
        Reception(
            rx.gateway.eui_text,
            rx.wall_us,
            rx.rssi_dbm,
            rx.snr_db,
            rx.tmst,
            rx.channel,
            rx.rf_chain,
            rx.antenna,
            rx.gateway_time_us,
            None if rx.frequency_hz == frequency_hz else rx.frequency_hz,
            rx.gps_us,
            rx.fine_ns,
            rx.metadata,
        )
        for rx in copies
    )


def best_copies(copies: list[RxFrame]) -> list[RxFrame]:
    """Copies by falling signal; of several from one gateway and antenna (ghosts, repeats) only the best."""
    if len(copies) == 1:
        return copies
    seen = set()
    best = []
    for rx in sorted(copies, key=signal, reverse=True):
        key = (rx.gateway.eui, rx.antenna)
        if key not in seen:
            seen.add(key)
            best.append(rx)
    return best


def signal(rx: RxFrame) -> tuple[float, float]:
    """What a copy is worth: its SNR, then its RSSI."""
    return (
        rx.snr_db if rx.snr_db is not None else -99.0,
        rx.rssi_dbm if rx.rssi_dbm is not None else -999.0,
    )


def emit_up(
    state: NetworkState,
    gathered: Gathered,
    session: Session,
    f_port: int | None,
    data: bytes,
    confirmed: bool,
    adr: bool,
    late: bool,
    app_s_key: KeyEnvelope | None = None,
) -> None:
    device = session.device
    copies = best_copies(gathered.copies)
    heard = receptions(copies)
    datr = copies[0].datr
    gathered.event = state.emit(
        Event(
            state.next_event_id(),
            "up",
            gathered.wall_us,
            device.dev_eui_text,
            device.name,
            device.profile.name,
            device.profile.codec,
            f"{session.dev_addr:08x}",
            gathered.frame_id,
            session.id,
            f_port,
            gathered.f_cnt,
            data,
            confirmed,
            adr,
            gathered.dr,
            copies[0].frequency_hz,
            datr if isinstance(datr, str) else str(datr),
            late,
            heard,
            None if copies[0].via is None else copies[0].via.reception,
            None if app_s_key is None else AppSKeyEnvelope(app_s_key.kek_label, app_s_key.aes_key.hex()),
        ),
        device,
    )


def _emit(state: NetworkState, device: Device, type: str, time_us: int, **fields: Any) -> None:
    """Any event but ``up``: what all have in common, and the fields of its type."""
    event = Event(
        state.next_event_id(),
        type,
        time_us,
        device.dev_eui_text,
        device_name=device.name,
        profile=device.profile.name,
        **fields,
    )
    state.emit(event, device)


def emit_join(state: NetworkState, session: Session, time_us: int) -> None:
    """The device uses its new session: told at the first uplink, not at the join-accept, as ChirpStack does."""
    _emit(state, session.device, "join", time_us, dev_addr=f"{session.dev_addr:08x}", session_id=session.id)


def emit_status(state: NetworkState, device: Device, time_us: int, battery: int, margin_db: int) -> None:
    """The device told its battery and margin."""
    _emit(state, device, "status", time_us, battery=battery, margin_db=margin_db)


def emit_ack(state: NetworkState, device: Device, time_us: int, item: Item, acknowledged: bool) -> None:
    """A confirmed downlink was answered by the device, or the next uplink came without its ACK."""
    _emit(
        state,
        device,
        "ack",
        time_us,
        queue_item_id=item.id,
        acknowledged=acknowledged,
        f_cnt_down=item.f_cnt_down or 0,
    )


def emit_tx_ack(
    state: NetworkState, device: Device, time_us: int, item: Item, gateway_eui: str, downlink_id: int
) -> None:
    """A gateway took an application downlink for transmission."""
    _emit(
        state,
        device,
        "txack",
        time_us,
        queue_item_id=item.id,
        f_cnt_down=item.f_cnt_down or 0,
        gateway_eui=gateway_eui,
        downlink_id=downlink_id,
    )


AUDIT = "audit"
"""In the context of a log event: the action under which the application keeps it in its audit log."""


def emit_log(
    state: NetworkState,
    device: Device,
    time_us: int,
    level: str,
    code: str,
    text: str,
    context: dict[str, str] | None = None,
) -> None:
    """Something about a device that its owner should know: ``code`` is one of ChirpStack's log codes."""
    _emit(state, device, "log", time_us, level=level, code=code, text=text, context=context or {})


def emit_gateway(
    state: NetworkState,
    gateway: Gateway,
    time_us: int,
    level: str,
    code: str,
    text: str,
    context: dict[str, str] | None = None,
) -> None:
    """Something about a gateway that its operator should know: ``GATEWAY_OFFLINE``, ``GATEWAY_ONLINE``, ``GATEWAY_SOURCE``."""
    event = Event(
        state.next_event_id(),
        "gateway",
        time_us,
        "",
        gateway_eui=gateway.eui_text,
        level=level,
        code=code,
        text=text,
        context=context or {},
    )
    state.emit(event, None)
