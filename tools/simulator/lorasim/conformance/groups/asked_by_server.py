"""MAC commands that a server asks: provoked by what it is told to want, obeyed by the device, and followed by the server.

The device answers with its next uplink and uses the new parameters from then on; so must the server, from the downlink
after that uplink on (each is judged by the windows of the device). Before the answer the old ones hold.
"""

from __future__ import annotations

from typing import TypeVar

from lorasim.conformance.ground import extra_channel, fixed, no_tx_param_setup
from lorasim.conformance.lab import Lab
from lorasim.conformance.probe import Probe
from lorasim.conformance.registry import case
from lorasim.conformance.verdicts import Failed, NotProvoked, expect
from lorawan import commands
from lorawan.commands import Command

Asked = TypeVar("Asked", bound=Command)


async def _asked(probe: Probe, kind: type[Asked], uplinks: int = 5, *says: Command) -> Asked:
    """Uplinks until the server asks; the first one carries what the device says of itself."""
    for n in range(uplinks):
        for down in await probe.send(says=says if n == 0 else ()).settled():
            found = down.get(kind)
            if isinstance(found, kind):
                return found
    raise NotProvoked(f"no {kind.__name__} in {uplinks} uplinks")


async def _content(probe: Probe, kind: type[Command], frames: int = 3) -> None:
    """Answered and done: the server asks no more, and answers where the device now listens."""
    for n in range(frames):
        down = await probe.accepted(f"frame {n + 1} after {kind.__name__} was answered")
        await probe.exchange.settled()  # type: ignore[union-attr]
        expect(not down.get(kind), f"{kind.__name__} came again though it was accepted")


@case("RXTimingSetupReq: RX1 moves with the answer", "TS001-1.0.4 §5.7", short=True, seconds=25)
async def rx_timing_setup(lab: Lab) -> str:
    probe = await lab.device(rx1_delay_s=3)
    asked = await _asked(probe, commands.RXTimingSetupReq)
    expect(asked.delay == 3, f"asked for {asked.delay} s, wanted are 3")
    await _content(probe, commands.RXTimingSetupReq)
    return "RX1 after 3 s"


@case("before its answer a request changes nothing", "TS001-1.0.4 §5.7", seconds=25)
async def old_until_answered(lab: Lab) -> None:
    probe = await lab.device(rx1_delay_s=4)
    for _ in range(5):
        before_s = probe.state.rx1_delay_s
        down = await probe.accepted("a frame")
        await probe.exchange.settled()  # type: ignore[union-attr]
        if down.get(commands.RXTimingSetupReq):
            break
    else:
        raise NotProvoked("no RXTimingSetupReq in 5 uplinks")
    # the device has not heard it
    probe.state.rx1_delay_s, probe.answers, probe.sticky = before_s, [], []
    await probe.accepted("a frame of a device that has not heard RXTimingSetupReq")


@case("RXParamSetupReq: RX1DROffset, RX2 data rate and frequency", "TS001-1.0.4 §5.4", short=True, seconds=25)
async def rx_param_setup(lab: Lab) -> str:
    dr, hz = lab.ground.other_rx2
    probe = await lab.device(rx1_dr_offset=2, rx2_dr=dr, rx2_frequency_hz=hz)
    asked = await _asked(probe, commands.RXParamSetupReq)
    wanted = (2, dr, hz)
    got = (asked.rx1_dr_offset, asked.rx2_dr, asked.frequency_hz)
    expect(got == wanted, f"asked for offset, data rate, frequency {got}, wanted are {wanted}")
    await _content(probe, commands.RXParamSetupReq, 2)
    lab.refuse("COLLISION_PACKET")
    downs = await probe.send(confirmed=True, gateways=[0]).settled()
    lab.forgive()
    return f"RX2 used: {downs[0].window == 'RX2' if downs else False}"


@case("an answer about windows is repeated until a downlink comes: one comes", "TS001-1.0.4 §5", seconds=25)
async def sticky_answer(lab: Lab) -> str:
    probe = await lab.device(rx1_delay_s=2)
    await _asked(probe, commands.RXTimingSetupReq)
    for n in range(1, 5):
        await probe.send().settled()
        if not probe.sticky:
            return f"with uplink {n}"
    raise Failed("four uplinks carried the same RXTimingSetupAns and none was answered: it eats FOpts for ever")


@case("NewChannelReq: a channel is made and used", "TS001-1.0.4 §5.6", short=True, seconds=25, fits=extra_channel)
async def new_channel(lab: Lab) -> str:
    hz = lab.bench.channels_hz[-1]
    probe = await lab.device(channels=[{"frequency_hz": hz}])
    asked = await _asked(probe, commands.NewChannelReq)
    index = asked.ch_index
    expect(asked.frequency_hz == hz, f"asked for {asked.frequency_hz} Hz, wanted are {hz}")
    expect(index >= len(lab.plan.default_channels), f"channel {index} is a default one")
    expect(index in probe.state.channels, f"the device had to refuse {asked}")
    await _content(probe, commands.NewChannelReq, 1)
    down = await probe.accepted("a frame on the new channel", channel=index)
    return f"channel {index}, answered in {down.window}"


@case("DlChannelReq: RX1 of a channel moves", "TS001-1.0.4 §5.8", seconds=30, fits=extra_channel)
async def dl_channel(lab: Lab) -> str:
    hz, down_hz = lab.bench.channels_hz[-1], lab.plan.default_channels[0].frequency_hz
    probe = await lab.device(channels=[{"frequency_hz": hz, "downlink_frequency_hz": down_hz}])
    asked = await _asked(probe, commands.DlChannelReq, 8)
    expect(asked.frequency_hz == down_hz, f"asked for {asked.frequency_hz} Hz, wanted are {down_hz}")
    expect(asked.ch_index in probe.state.channels, f"channel {asked.ch_index} was never made")
    await _content(probe, commands.DlChannelReq, 1)
    down = await probe.accepted("a frame on the channel", channel=asked.ch_index)
    return f"answered in {down.window} on {down.radio.frequency_hz / 1e6:g} MHz"


@case(
    "LinkADRReq switches off the channels that no gateway hears",
    "TS001-1.0.4 §5.2; RP002, ChMaskCntl",
    short=True,
    seconds=20,
    fits=fixed,
)
async def channel_mask(lab: Lab) -> str:
    """A device of ABP begins with all channels; eight of them, and a wide one, are worth sending on."""
    probe = await lab.device()
    await _asked(probe, commands.LinkADRReq)
    on = {probe.state.channels[n].frequency_hz for n in probe.state.enabled}
    expect(
        on == set(lab.bench.channels_hz), f"{len(on)} channels are on, the gateways hear {len(lab.bench.channels_hz)}"
    )
    await _content(probe, commands.LinkADRReq)
    return f"channels {', '.join(map(str, sorted(probe.state.enabled)))}"


@case("NewChannelReq and DlChannelReq are not sent where channels are fixed", "TS001-1.0.4 §5.6, §5.8", fits=fixed)
async def no_channel_requests(lab: Lab) -> None:
    probe = await lab.device()
    for _ in range(3):
        for down in await probe.send(confirmed=True).settled():
            wrong = [one for one in down.commands if isinstance(one, commands.NewChannelReq | commands.DlChannelReq)]
            expect(not wrong, f"{wrong} in {lab.plan.name}")


@case("DutyCycleReq: once", "TS001-1.0.4 §5.3", seconds=20)
async def duty_cycle(lab: Lab) -> None:
    probe = await lab.device(max_duty_cycle=7)
    asked = await _asked(probe, commands.DutyCycleReq)
    expect(asked.max_duty_cycle == 7, f"asked for 1/2^{asked.max_duty_cycle}, wanted is 1/2^7")
    await _content(probe, commands.DutyCycleReq)


@case("DevStatusReq: once, its answer is taken", "TS001-1.0.4 §5.5", short=True, seconds=20)
async def dev_status(lab: Lab) -> None:
    probe = await lab.device(dev_status_interval_s=86_400)
    await _asked(probe, commands.DevStatusReq)
    await _content(probe, commands.DevStatusReq, 2)


@case(
    "TxParamSetupReq is not sent where the region does not know it",
    "TS001-1.0.4 §5.9; RP002, TxParamSetupReq",
    seconds=15,
    fits=no_tx_param_setup,
)
async def tx_param_setup(lab: Lab) -> None:
    probe = await lab.device()
    for _ in range(4):
        for down in await probe.send(confirmed=True).settled():
            expect(not down.get(commands.TxParamSetupReq), f"TxParamSetupReq in {lab.plan.name}")


@case("commands of 1.1 are not sent to a 1.0.3 device", "LoRaWAN 1.0.3 §5", seconds=12)
async def no_1_1_commands(lab: Lab) -> None:
    """The device's parser knows none of them: it would have to throw away the rest of the block."""
    probe = await lab.device(mac_version="1.0.3")
    for _ in range(3):
        for down in await probe.send(confirmed=True).settled():
            unknown = [one for one in down.commands if isinstance(one, commands.UnknownCommand)]
            expect(not unknown, f"a command that a 1.0.3 device does not know: {unknown}")


@case("ADRParamSetupReq (1.1)", "LoRaWAN 1.1 §5.10", seconds=20)
async def adr_param_setup(lab: Lab) -> None:
    probe = await lab.device(mac_version="1.1.0", adr_ack_limit_exp=5, adr_ack_delay_exp=4)
    asked = await _asked(probe, commands.ADRParamSetupReq)
    expect((asked.limit_exp, asked.delay_exp) == (5, 4), f"asked for {asked}")
    await _content(probe, commands.ADRParamSetupReq, 2)


@case("RejoinParamSetupReq (1.1)", "LoRaWAN 1.1 §5.13", seconds=20)
async def rejoin_param_setup(lab: Lab) -> None:
    probe = await lab.device(mac_version="1.1.0", activation="OTAA", rejoin_time_n=10, rejoin_count_n=8)
    await probe.join()
    asked = await _asked(probe, commands.RejoinParamSetupReq, 5, commands.RekeyInd(minor=1))
    expect((asked.max_time_n, asked.max_count_n) == (10, 8), f"asked for {asked}")
    await _content(probe, commands.RejoinParamSetupReq, 2)


@case("ForceRejoinReq (1.1): the device rejoins, the new session works", "LoRaWAN 1.1 §5.12, §6.2.4", seconds=25)
async def force_rejoin(lab: Lab) -> str:
    probe = await lab.device(mac_version="1.1.0", activation="OTAA")
    await probe.join()
    await probe.send(says=[commands.RekeyInd(minor=1)]).settled()
    await lab.adapter.rejoin(probe.identity.dev_eui, 0)
    asked = await _asked(probe, commands.ForceRejoinReq)
    session = probe.session
    assert session is not None
    phy = probe.joiner.rejoin_request(asked.rejoin_type, session.net_id, session.keys)
    lab.needs_forwarding(phy)
    before = len(probe.accepts)
    exchange = probe.put_on_air(phy, accept=True)
    await exchange.until(lambda: len(probe.accepts) > before)
    expect(len(probe.accepts) > before, f"a rejoin-request of type {asked.rejoin_type} got no accept")
    probe.follow(probe.accepts[-1])
    await probe.accepted("the first frame after a rejoin", says=[commands.RekeyInd(minor=1)])
    return f"type {asked.rejoin_type}"


@case("PingSlotChannelReq (class B)", "TS001-1.0.4 §12.3", seconds=20)
async def ping_slot_channel(lab: Lab) -> None:
    dr, hz = lab.ground.other_rx2
    probe = await lab.device(mac_version="1.0.4", device_class="B", ping_slot_frequency_hz=hz, ping_slot_dr=dr)
    asked = await _asked(probe, commands.PingSlotChannelReq, 5, commands.PingSlotInfoReq(3))
    expect((asked.frequency_hz, asked.dr) == (hz, dr), f"asked for {asked}")
    await _content(probe, commands.PingSlotChannelReq, 2)


@case("BeaconFreqReq (class B)", "TS001-1.0.4 §12.2", seconds=20)
async def beacon_freq(lab: Lab) -> None:
    hz = lab.ground.downlink_hz[0]
    probe = await lab.device(mac_version="1.0.4", device_class="B", beacon_frequency_hz=hz)
    asked = await _asked(probe, commands.BeaconFreqReq, 5, commands.PingSlotInfoReq(3))
    expect(asked.frequency_hz == hz, f"asked for {asked}")
    await _content(probe, commands.BeaconFreqReq, 2)


@case("a refusal changes nothing and is not asked for ever", "TS001-1.0.4 §5.4", seconds=40)
async def refusal(lab: Lab) -> str:
    dr, hz = lab.ground.other_rx2  # both: one of them may be what the region has anyhow
    probe = await lab.device(rx2_dr=dr, rx2_frequency_hz=hz)
    probe.state.manners.refused = frozenset({"RXParamSetupReq.channel_ack"})
    await _asked(probe, commands.RXParamSetupReq)
    times = 1
    for n in range(9):
        down = await probe.accepted(f"frame {n + 1} after a refusal")
        await probe.exchange.settled()  # type: ignore[union-attr]
        times += down.get(commands.RXParamSetupReq) is not None
    expect(times < 9, "the refused request comes with every downlink")
    return f"asked {times} times in 10 downlinks"
