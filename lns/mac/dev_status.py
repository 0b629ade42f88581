"""DevStatusReq: battery and margin, asked once per interval of the profile (TS001-1.0.4 §5.5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lns import events
from lns.mac.context import Block, MacContext
from lorawan.commands import DevStatusAns, DevStatusReq

RETRY_US = 3_600_000_000
"""An unanswered question is asked again after an hour, not with every uplink: airtime is scarce."""


def ask(context: MacContext) -> Iterator[Block]:
    """Ask when the last answer is older than the profile's interval."""
    device, interval_s = context.device, context.device.profile.dev_status_interval_s
    if not interval_s:
        return
    asked = device.mac is not None and device.mac.status_asked
    wait_us = RETRY_US if asked else interval_s * 1_000_000
    if device.status_us is None or context.now.wall_us - device.status_us >= wait_us:
        yield (DevStatusReq(),)


def note_sent(block: Block, context: MacContext) -> None:
    context.device.status_us = context.now.wall_us
    context.mac.status_asked = True


def on_uplink(answers: Sequence[DevStatusAns], context: MacContext) -> None:
    """Keep the answer with the device and tell it as a ``status`` event."""
    device, answer = context.device, answers[-1]
    device.battery, device.margin_db = answer.battery, answer.margin
    device.status_us = context.now.wall_us
    context.mac.status_asked = False
    context.state.batch.operations.append(
        ("device_status", (device.battery, device.margin_db, device.status_us, device.id))
    )
    events.emit_status(context.state, device, context.gathered.wall_us, answer.battery, answer.margin)
