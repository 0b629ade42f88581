"""Join-requests and what answers them."""

from __future__ import annotations

from lorasim.conformance.lab import Lab
from lorasim.conformance.probe import Probe
from lorasim.conformance.registry import case
from lorasim.conformance.verdicts import NotProvoked, expect
from lorasim.joining import Accepted
from lorawan import commands


async def _joined(lab: Lab, version: str, **wishes: object) -> tuple[Probe, Accepted]:
    probe = await lab.device(mac_version=version, activation="OTAA", **wishes)
    return probe, await probe.join()


@case("a 1.0.2 device joins and its keys work", "LoRaWAN 1.0.2 §6.2.5", short=True)
async def otaa_1_0_2(lab: Lab) -> str:
    probe, accepted = await _joined(lab, "1.0.2")
    await probe.accepted("the first frame of the new session")
    return f"DevAddr {accepted.accept.dev_addr}, JoinNonce {accepted.accept.join_nonce}"


@case("a 1.0.4 device joins, counting DevNonce, and its keys work", "TS001-1.0.4 §6.2", short=True)
async def otaa_1_0_4(lab: Lab) -> str:
    probe, accepted = await _joined(lab, "1.0.4")
    await probe.accepted("the first frame of the new session")
    return f"JoinNonce {accepted.accept.join_nonce}"


@case("a 1.1 device joins with four session keys; RekeyInd is confirmed", "LoRaWAN 1.1 §6.2.3, §5.9", short=True)
async def otaa_1_1(lab: Lab) -> None:
    probe, accepted = await _joined(lab, "1.1.0")
    expect(accepted.accept.opt_neg, "OptNeg is 0: the server treats a 1.1 device as one of 1.0")
    down = await probe.accepted("the first frame with RekeyInd", says=[commands.RekeyInd(minor=1)])
    conf = down.get(commands.RekeyConf)
    expect(conf is not None, "RekeyInd was not confirmed in the windows of its frame")
    assert isinstance(conf, commands.RekeyConf)
    expect(conf.minor == 1, f"RekeyConf has minor {conf.minor}: it must confirm 1")


@case("JoinNonce rises from accept to accept", "TS001-1.0.4 §6.2.6")
async def join_nonce_rises(lab: Lab) -> str:
    probe, first = await _joined(lab, "1.0.4")
    second = await probe.join("a second join-request")  # the joiner itself refuses one that does not rise
    expect(first.keys.app_s_key != second.keys.app_s_key, "both joins gave the same AppSKey")
    return f"{first.accept.join_nonce}, {second.accept.join_nonce}"


@case("DevAddr is of the network that NetID names", "TS002, DevAddr assignment", short=True)
async def dev_addr_of_net_id(lab: Lab) -> str:
    _, accepted = await _joined(lab, "1.0.3")
    net_id, dev_addr = accepted.accept.net_id, accepted.accept.dev_addr
    expect(dev_addr.net_id_type == net_id.type, f"DevAddr {dev_addr} is not of type {net_id.type} of NetID {net_id}")
    bits = (6, 6, 9, 11, 12, 13, 15, 17)[net_id.type]
    own = int(net_id) & (1 << bits) - 1
    expect(dev_addr.nwk_id == own, f"DevAddr {dev_addr} has NwkID {dev_addr.nwk_id}, NetID {net_id} says {own}")
    return f"NetID {net_id}, DevAddr {dev_addr}"


@case("CFList: channels of the band, as many as fit", "TS001-1.0.4 §6.2.6; RP002-1.0.4, CFList")
async def cf_list(lab: Lab) -> str:
    _, accepted = await _joined(lab, "1.0.3")
    cflist = accepted.accept.cflist
    if not cflist:
        raise NotProvoked("the server sends no CFList")
    frequencies = [hz for hz in lab.plan.parse_cflist(cflist) if hz]
    if lab.plan.is_fixed:
        heard = set(lab.bench.channels_hz)
        expect(heard & set(frequencies), "the CFList leaves no channel on that the gateways hear")
        return f"{len(frequencies)} channels stay on, {len(heard)} are heard"
    limits = lab.plan.frequency_range_hz or (0, 10**10)
    wrong = [hz for hz in frequencies if not limits[0] <= hz <= limits[1]]
    expect(not wrong, f"frequencies outside of the band: {wrong}")
    defaults = {channel.frequency_hz for channel in lab.plan.default_channels}
    expect(not defaults & set(frequencies), "the CFList has default channels, which a device has anyhow")
    expect(len(set(frequencies)) == len(frequencies), f"a frequency stands twice in {frequencies}")
    return ", ".join(f"{hz / 1e6:g}" for hz in frequencies)


@case("a wrong MIC gets no accept", "TS001-1.0.4 §6.2.5", short=True)
async def wrong_mic(lab: Lab) -> None:
    probe = await lab.device(mac_version="1.0.3", activation="OTAA")
    phy = probe.request()
    await probe.ask_to_join(phy[:-1] + bytes([phy[-1] ^ 1])).silence("the MIC of the join-request was wrong")
    await probe.join("a join-request that follows a forged one")


@case("an unknown device gets no accept", "TS001-1.0.4 §6.2.5")
async def unknown_device(lab: Lab) -> None:
    probe = lab.unknown(mac_version="1.0.3", activation="OTAA")
    await probe.ask_to_join().silence("nobody registered this device")


@case("a used DevNonce gets no accept (up to 1.0.3)", "LoRaWAN 1.0.3 §6.2.4", short=True)
async def reused_dev_nonce(lab: Lab) -> None:
    probe, _ = await _joined(lab, "1.0.3")
    await probe.accepted("the first frame")
    await probe.ask_to_join(probe.last_request).silence("the same join-request was answered before")
    await probe.accepted("a frame of the session, after its join-request was replayed")


@case("a DevNonce that does not rise gets no accept (1.0.4)", "TS001-1.0.4 §6.2.5")
async def lower_dev_nonce(lab: Lab) -> None:
    probe = await lab.device(mac_version="1.0.4", activation="OTAA")
    probe.joiner.dev_nonce = 7
    await probe.join()
    await probe.ask_to_join(probe.request(dev_nonce=7)).silence("DevNonce 7 was used")
    await probe.ask_to_join(probe.request(dev_nonce=3)).silence("DevNonce 3 is below 7")
    probe.joiner.dev_nonce = 8
    await probe.join("DevNonce 8")


@case("RX1 refused by the gateways: the same accept comes in RX2 after 6 s", "TS001-1.0.4 §6.2.6, §3.3")
async def accept_in_rx2(lab: Lab) -> str:
    probe = await lab.device(mac_version="1.0.3", activation="OTAA")
    lab.refuse("COLLISION_PACKET")
    exchange = probe.ask_to_join()
    await exchange.settled()
    left = lab.refused()
    lab.forgive()
    if not probe.accepts:
        raise NotProvoked("the server does not try another window or gateway")
    expect(len(exchange.radios) == 1, f"{len(exchange.radios)} accepts were sent")
    off_us = exchange.radios[0].start_us - exchange.end_us
    return f"after {off_us / 1e6:g} s, {'one gateway' if left else 'all gateways'} had refused"


@case("one request heard by all gateways gets one accept, from one gateway", "TS001-1.0.4 §6.2; §3.3", short=True)
async def one_accept(lab: Lab) -> None:
    probe = await lab.device(mac_version="1.0.3", activation="OTAA")
    exchange = probe.ask_to_join()
    await exchange.settled()
    expect(len(probe.accepts) == 1, f"{len(probe.accepts)} accepts came for one request")


@case("RxDelay of the accept holds from the first frame on", "TS001-1.0.4 §6.2.6, RXDelay", seconds=14)
async def rx_delay(lab: Lab) -> str:
    probe, accepted = await _joined(lab, "1.0.3", rx1_delay_s=2)
    if accepted.accept.rx_delay != 2:
        raise NotProvoked(f"RxDelay of the accept is {accepted.accept.rx_delay}: the server changes it later or never")
    down = await probe.accepted("a frame")
    return f"answered in {down.window}"


@case("the session goes on while nobody uses a new one", "TS001-1.0.4 §6.2; LoRaWAN 1.1 §6.2", seconds=16)
async def old_session_lives(lab: Lab) -> None:
    probe, _ = await _joined(lab, "1.0.4")
    await probe.accepted("a frame of the first session")
    old_session, old_state = probe.session, probe.state
    exchange = probe.ask_to_join()
    await exchange.settled()
    expect(probe.accepts[1:], "no accept for the second join-request")
    probe.session, probe.state = old_session, old_state  # the accept was not heard
    await probe.accepted("a frame of the session before, the accept having got lost")
