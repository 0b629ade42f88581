"""NewChannelReq: channels beyond the region's own, in dynamic plans (TS001-1.0.4 §5.6)."""

from __future__ import annotations

from lns.mac.setting import Setting
from lns.radio import NO_CHANNEL, ExtraChannel, RadioParameters
from lorawan.commands import NewChannelAns, NewChannelReq
from regional import Plan


def desired(radio: RadioParameters, wanted: RadioParameters, plan: Plan) -> list[NewChannelReq]:
    """Channels that the device lacks or has otherwise. Those it has beyond are switched off by mask, not deleted."""
    if plan.is_fixed:
        return []
    first = len(plan.default_channels)
    return [
        NewChannelReq(first + n, channel.frequency_hz, channel.max_dr, channel.min_dr)
        for n, channel in enumerate(wanted.channels)
        if channel.frequency_hz and channel != (radio.channels[n] if n < len(radio.channels) else NO_CHANNEL)
    ]


def applied(radio: RadioParameters, request: NewChannelReq, plan: Plan) -> RadioParameters:
    """A new channel is on, and its RX1 is on the uplink's frequency again."""
    place = request.ch_index - len(plan.default_channels)
    if place < 0:
        return radio
    channels = [*radio.channels, *[NO_CHANNEL] * (place + 1 - len(radio.channels))]
    channels[place] = (
        ExtraChannel(request.frequency_hz, request.min_dr, request.max_dr) if request.frequency_hz else NO_CHANNEL
    )
    while channels and channels[-1] == NO_CHANNEL:
        channels.pop()
    return radio._replace(
        channels=tuple(channels),
        dl_channels=tuple(pair for pair in radio.dl_channels if pair[0] != request.ch_index),
        disabled=radio.disabled & ~(1 << request.ch_index),
    )


SETTING = Setting(NewChannelReq, NewChannelAns, desired, applied)
