"""Devices behind a relay (TS011): ChirpStack's cases as bytes, and what happens when things go wrong on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lorasim import crypto

from lorawan.backend import JoinReq
from lorawan.identifiers import DevAddr
from lorawan.relay import ForwardUplinkReq
from tests.support.fake_gateway import FakeGateway, Sent
from tests.support.lab import SECOND_US, WINDOW_US, Lab
from tests.support.node import Node
from tests.support.vectors import Row, load

ROWS: dict[str, Row] = {
    row["id"]: row for row in load("lns_scenarios.json")["scenarios"] if row["id"].startswith("relay-")
}
DATR = {0: "SF12BW125", 5: "SF7BW125"}
RELAY, DEVICE = "00000000000000aa", "00000000000000bb"


@pytest.fixture
def eu_lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path, region="EU868")


def abp(lab: Lab, dev_eui: str, told: Row, profile: str) -> None:
    lab.device(dev_eui, profile=profile, activation="ABP")
    lab.call(
        "session_put",
        dev_eui=dev_eui,
        dev_addr=told["dev_addr"],
        nwk_s_key=told["nwk_s_key"],
        app_s_key=told.get("app_s_key", "00" * 16),
        f_cnt_up=told.get("fcnt_up_next", 0),
        f_cnt_down=told["fcnt_down_next"],
    )


def relay_profile(lab: Lab) -> str:
    values = {"region": lab.settings.region, "mac_version": "1.0.4", "dev_status_interval_s": 0, "adr": "recommended"}
    lab.call("profile_put", name="relay", relay=True, **values)
    lab.call("profile_put", name="behind", **values)
    return "relay"


def prepare(lab: Lab, row: Row) -> FakeGateway:
    told = row["preconditions"]
    abp(lab, RELAY, told["relay"], relay_profile(lab))
    if "dev_addr" in told["end_device"]:
        abp(lab, DEVICE, told["end_device"], "behind")
    return lab.gateway()


def hear(lab: Lab, gateway: FakeGateway, row: Row) -> list[Sent]:
    """The relay's frame is heard; its window closes, and then that of the frame within."""
    rf = row["input"]["rf"]
    sent = lab.uplink(bytes.fromhex(row["input"]["phy_hex"]), gateway, freq=rf["freq_hz"] / 1e6, datr=DATR[rf["dr"]])
    before = len(lab.air)
    lab.advance(WINDOW_US)
    return [*sent, *lab.air[before:]]


def test_a_relayed_uplink_is_two_events(eu_lab: Lab) -> None:
    row = ROWS["relay-up"]
    gateway = prepare(eu_lab, row)
    assert hear(eu_lab, gateway, row) == []
    relay, device = eu_lab.events("up")
    for event, wanted in zip((relay, device), row["expected"]["events"], strict=True):
        assert (event.dev_addr, event.f_cnt, event.f_port) == (wanted["dev_addr"], wanted["f_cnt"], wanted["f_port"])
        assert event.data.hex() == wanted["data_hex"]
    wanted = row["expected"]["events"][1]["relay_rx_info"]
    assert relay.relay is None and device.relay is not None
    assert device.relay.dev_eui == RELAY
    heard = device.relay
    assert (heard.frequency_hz, heard.dr, heard.snr_db, heard.rssi_dbm, heard.wor_channel) == (
        wanted["freq_hz"], wanted["dr"], wanted["snr"], wanted["rssi"], wanted["wor_channel"],
    )  # fmt: skip
    assert [reception.gateway_eui for reception in device.receptions] == [gateway.eui]


@pytest.mark.parametrize("refused", [False, True], ids=["RX1", "RX2"])
def test_the_answer_to_a_relayed_device_is_carried_by_the_relays(eu_lab: Lab, refused: bool) -> None:
    row = ROWS["relay-up-conf"]
    gateway = prepare(eu_lab, row)
    if refused:
        gateway.outcomes.append("COLLISION_PACKET")
    heard_tmst = gateway.tmst()
    sent = hear(eu_lab, gateway, row)[-1]
    wanted = row["expected"]["downlinks"][1 if refused else 0]
    assert sent.phy.hex() == wanted["phy_hex"]
    assert sent.txpk["tmst"] - heard_tmst == wanted["delay_s"] * SECOND_US
    log = eu_lab.call("frames", type="down").items
    assert {(frame.dev_eui, frame.phy.hex()) for frame in log} == {
        (DEVICE, row["expected"]["inner_phy_hex"]), (RELAY, wanted["phy_hex"]),
    }  # fmt: skip


def test_a_join_through_a_relay(eu_lab: Lab) -> None:
    row = ROWS["relay-join"]
    gateway = prepare(eu_lab, row)
    told = row["preconditions"]["end_device"]
    eu_lab.device(told["dev_eui"], told["mac_version"], join_eui=told["join_eui"], app_key=told["app_key"])
    ask = eu_lab.answer_joins

    def with_address(request: JoinReq) -> JoinReq:
        request.dev_addr = DevAddr.parse(row["preconditions"]["forced_dev_addr"])
        return request

    eu_lab.answer_joins = lambda requests: ask([with_address(request) for request in requests])
    heard_tmst = gateway.tmst()
    (sent,) = hear(eu_lab, gateway, row)
    assert sent.txpk["tmst"] - heard_tmst == row["expected"]["downlinks"][0]["delay_s"] * SECOND_US
    wanted = bytes.fromhex(row["expected"]["downlinks"][0]["phy_hex"])
    # The accept inside has this server's own JoinNonce: everything around it is the vector's.
    assert (sent.phy[:9], len(sent.phy)) == (wanted[:9], len(wanted))


def forward(node: Node, inner: bytes, **fields: Any) -> bytes:
    """A relay's frame with one inside, by the simulator's own cryptography."""
    data = ForwardUplinkReq(5, 10, -100, 0, 868_100_000, inner).encode()
    f_cnt = node.f_cnt
    phy = node.up(b"", None, **fields)
    message = phy[:-4] + bytes((226,)) + crypto.crypt_payload(node.keys.nwk_s_enc_key, True, node.dev_addr, f_cnt, data)
    return message + crypto.uplink_mic(node.keys, node.dev_addr, f_cnt, message, 0, 5, 0)


@pytest.fixture
def pair(eu_lab: Lab) -> tuple[Lab, FakeGateway, Node, Node]:
    gateway = eu_lab.gateway()
    profile = relay_profile(eu_lab)
    return eu_lab, gateway, eu_lab.abp(1, profile=profile), eu_lab.abp(2)


def both(lab: Lab, phy: bytes, **fields: Any) -> list[Sent]:
    before = len(lab.air)
    lab.uplink(phy, freq=868.1, datr="SF7BW125", **fields)
    lab.advance(WINDOW_US)
    return lab.air[before:]


def test_an_item_for_the_device_goes_through_the_relay(pair: tuple[Lab, FakeGateway, Node, Node]) -> None:
    lab, _, relay, device = pair
    id = lab.queue(device.dev_eui, b"\x42")
    (sent,) = both(lab, forward(relay, device.up(b"\x01")))
    outer = relay.read(sent.phy)
    inner = crypto.crypt_payload(relay.keys.nwk_s_enc_key, False, relay.dev_addr, outer.f_cnt, sent.phy[9:-4])
    assert outer.f_port == 226 and device.read(inner).data == b"\x42"
    assert lab.item(id).state == "sent"


@pytest.mark.parametrize("inner", [b"", b"\x40", b"\xe0\x01\x02", b"\x40" + bytes(12)])
def test_garbage_inside_still_answers_a_confirmed_relay(
    pair: tuple[Lab, FakeGateway, Node, Node], inner: bytes
) -> None:
    lab, _, relay, _ = pair
    (sent,) = both(lab, forward(relay, inner, confirmed=True))
    assert relay.read(sent.phy).ack
    assert [event.dev_eui for event in lab.events("up")] == [relay.dev_eui]


def test_a_frame_heard_both_ways_is_one_event(pair: tuple[Lab, FakeGateway, Node, Node]) -> None:
    lab, gateway, relay, device = pair
    inner = device.up(b"\x05", confirmed=True)
    (sent,) = lab.uplink(inner, gateway, freq=868.1, datr="SF7BW125")
    assert device.read(sent.phy).ack, "directly"
    both(lab, forward(relay, inner))
    assert lab.ups() == [(0, b"\x05"), (0, b"")]


def test_only_a_relay_forwards(pair: tuple[Lab, FakeGateway, Node, Node]) -> None:
    lab, _, _, device = pair
    stranger = lab.abp(3)
    both(lab, forward(stranger, device.up(b"\x05")))
    assert [event.dev_eui for event in lab.events("up")] == [stranger.dev_eui]


@pytest.mark.parametrize("step", ["commit", "committed", "acked"])
def test_inv_18_killed_with_a_relayed_frame_in_hand(pair: tuple[Lab, FakeGateway, Node, Node], step: str) -> None:
    lab, _gateway, relay, device = pair
    phy = forward(relay, device.up(b"\x06"))
    with lab.dying(step):
        lab.uplink(phy, freq=868.1, datr="SF7BW125")
        lab.advance(WINDOW_US)
    if step == "commit":  # never acknowledged: the gateway's loss, unless it is heard again
        both(lab, phy)
    lab.advance(2 * WINDOW_US)
    assert lab.ups() == [(0, b""), (0, b"\x06")]
