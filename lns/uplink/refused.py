"""Frames that were refused, as the frame log keeps them: whoever looks for a silent device sees why nothing came.

Anybody can fill the air with garbage, so they share a budget; beyond it they are only counted.
"""

from __future__ import annotations

from lns.device import Device
from lns.gateways.frames import RxFrame
from lns.gateways.sources import Bucket
from lns.session import Session
from lns.state import NetworkState
from lns.uplink.reception import to_detail

PER_S = 5
BURST = 500


def log_refused(
    state: NetworkState,
    rx: RxFrame,
    kind: str,
    reason: str,
    session: Session | None = None,
    f_cnt: int | None = None,
    dev_addr: int | None = None,
    device: Device | None = None,
) -> None:
    """Put a refused frame into the log. ``session``, ``device``: whose it is, or says that it is."""
    if device is None and session is not None:
        device = session.device
    if state.refused is None:
        state.refused = Bucket(BURST, rx.mono_us)
    if not state.refused.take(PER_S, BURST, rx.mono_us):
        state.counters["refused_not_logged"] += 1
        return
    state.batch.frames.append(
        (
            state.next_frame_id(),
            kind,
            rx.wall_us,
            device.id if device is not None else 0,
            session.id if session is not None else 0,
            dev_addr,
            f_cnt,
            None,
            False,
            rx.frequency_hz,
            rx.datr,
            rx.phy,
            to_detail(rx),
            rx.gateway.eui_text,
            0,
            f"refused: {reason}",
        )
    )
