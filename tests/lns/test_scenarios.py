"""Other servers' test cases as bytes: tests/vectors/lns_scenarios.json, from ChirpStack's class A and OTAA tests (EU868).

A scenario is replayed through the whole server over datagrams. RX1 is compared byte by byte, and RX2 after RX1 was refused:
the vectors give a second gateway-side item with the same bytes. Power is the plan's 16 dBm in both (869.525 MHz would allow
29: ``regional`` keeps to the smaller of plan and sub-band).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lns.mac import link_adr
from lns.radio import ExtraChannel
from lorawan.backend import JoinReq
from lorawan.commands import LinkADRReq
from lorawan.identifiers import DevAddr
from tests.support.fake_gateway import FakeGateway, Sent
from tests.support.lab import SECOND_US, Lab
from tests.support.otaa_device import OtaaDevice
from tests.support.vectors import Row, load, params

SCENARIOS: dict[str, Row] = {row["id"]: row for row in load("lns_scenarios.json")["scenarios"]}
S10 = load("lns_scenarios.json")["meta"]["sessions"]["S10"]
DATR = {0: "SF12BW125", 3: "SF9BW125", 5: "SF7BW125"}
DEV_EUI = S10["dev_eui"]

EVENTS = [
    "up10-data", "up10-fport-only", "up10-confirmed-empty", "up10-lrfhss", "err-mic", "device-disabled", "mac-devstatusans",
    "mac-linkcheck", "mac11-linkcheck", "q-unconf", "q-conf", "q-toolarge", "q11-unconf", "q11-conf", "q11-fpending-mac",
    "up11-dr5", "rxw-12", "err11-dr", "adr-off", "adr-ackreq", "rxdelay-3",
    "rxdelay-5-cmd", "mac-rxtimingans", "mac-devstatusreq+data",
]  # fmt: skip
"""What the server does as those others do. The rest of the file are of later rooms (class B and C,
multicast, relay, tenants) or of another policy: ``skip_fcnt_check``, ADR on the first frame, windows by setting."""


EMPTY_FRAMES = ("adr-ackreq", "mac-rxtimingans")
"""Frames without a payload: here they are events too."""


@pytest.fixture
def eu_lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path, region="EU868")


def gateway_of(lab: Lab) -> FakeGateway:
    gateway = lab.gateway(pulls=False)
    lab.call("gateway_put", gateway_eui=S10["gateway"])
    gateway.eui = S10["gateway"]
    gateway.pull()
    return gateway


def prepare(lab: Lab, before: Row) -> None:
    """The device, its session and its queue as the scenario wants them."""
    lorawan_1_1 = before["session"].startswith("S11")
    rx1_delay_s = before.get("profile_rx1_delay", before.get("rx1_delay", 1))
    status_s = 86_400 // before["device_status_req_per_day"] if "device_status_req_per_day" in before else 0
    version = "1.1.0" if lorawan_1_1 else "1.0.3"
    profile = lab.profile(version, adr="recommended", rx1_delay_s=rx1_delay_s, dev_status_interval_s=status_s)
    lab.device(DEV_EUI, profile=profile, activation="ABP", disabled=bool(before.get("is_disabled")))
    key = S10["nwk_s_key"]
    names = ("f_nwk_s_int_key", "s_nwk_s_int_key", "nwk_s_enc_key") if lorawan_1_1 else ("nwk_s_key",)
    lab.call(
        "session_put",
        dev_eui=DEV_EUI,
        dev_addr=S10["dev_addr"],
        app_s_key=S10["app_s_key"],
        f_cnt_up=before.get("fcnt_up_next", S10["fcnt_up_next"]),
        f_cnt_down=S10["fcnt_down_next"],
        a_f_cnt_down=before.get("a_f_cnt_down", 0),
        **dict.fromkeys(names, key),
    )
    session = lab.state.devices[int(DEV_EUI, 16)].session
    assert session is not None
    session.radio = lab.state.radio(session.radio._replace(rx1_delay_s=before.get("rx1_delay", 1)))
    for item in before.get("queue", ()):
        lab.queue(DEV_EUI, bytes.fromhex(item["data_hex"]), item["f_port"], confirmed=item.get("confirmed", False))


def play(lab: Lab, gateway: FakeGateway, given: Row) -> list[Sent]:
    rf = given["rf"]
    (heard,) = rf["rx"]
    phy = bytes.fromhex(given["phy_hex"])
    radio = {"modu": "LR-FHSS", "datr": "M0CW336", "codr": "2/6"} if rf["dr"] == 10 else {"datr": DATR[rf["dr"]]}
    return lab.uplink(phy, gateway, freq=rf["freq_hz"] / 1e6, lsnr=heard["snr"], rssi=heard["rssi"], **radio)


def check_window(sent: Sent, wanted: Row, heard_tmst: int) -> None:
    assert sent.phy.hex() == wanted["phy_hex"]
    txpk = sent.txpk
    assert (txpk["tmst"] - heard_tmst) % (1 << 32) == wanted["delay_s"] * SECOND_US
    assert round(txpk["freq"] * 1e6) == wanted["freq_hz"]
    assert txpk["datr"] == f"SF{wanted['sf']}BW{wanted['bw_hz'] // 1000}"
    assert txpk["powe"] == min(16, wanted["power_eirp_dbm"])


@pytest.mark.parametrize("row", params([SCENARIOS[id] for id in EVENTS], "id"))
@pytest.mark.parametrize("rx1_refused", [False, True], ids=["RX1", "RX2"])
def test_class_a(eu_lab: Lab, row: Row, rx1_refused: bool) -> None:
    lab, gateway = eu_lab, gateway_of(eu_lab)
    prepare(lab, row["preconditions"])
    expected: dict[str, Any] = row["expected"]
    if rx1_refused:
        gateway.outcomes.append("COLLISION_PACKET")
    heard_tmst = gateway.tmst()
    sent = play(lab, gateway, row["input"])
    windows = expected.get("downlinks", [])
    assert len(sent) == (len(windows) if rx1_refused else min(1, len(windows)))
    for one, wanted in zip(sent, windows, strict=False):
        check_window(one, wanted, heard_tmst)

    ups = lab.events("up")
    if "event" in expected and expected["event"] is None and row["id"] not in EMPTY_FRAMES:
        assert ups == []
    for wanted in [expected["event"]] if expected.get("event") else []:
        (event,) = ups
        found = {name: getattr(event, name) for name in wanted if name not in ("data_hex",)}
        assert found == {name: wanted[name] for name in found}
        assert event.data.hex() == wanted.get("data_hex", event.data.hex())
    if "next_fcnt_up" in expected:
        assert lab.call("session", key=DEV_EUI).f_cnt_up == expected["next_fcnt_up"] - 1
    if "next_n_f_cnt_down" in expected:
        assert lab.call("session", key=DEV_EUI).f_cnt_down == expected["next_n_f_cnt_down"]
    for wanted in expected.get("events_also", ()):
        (status,) = lab.events("status")
        assert status.margin_db == wanted["margin"] and round(status.battery / 254 * 100, 4) == 50.3937


@pytest.mark.parametrize("row", params([SCENARIOS[id] for id in ("err-fcnt-same", "err-fcnt-reset")], "id"))
def test_counter_errors(eu_lab: Lab, row: Row) -> None:
    """No event, no downlink, the counter as it was. Of FCnt 7 the log tells; of FCnt 0, a replay, the counters do."""
    gateway = gateway_of(eu_lab)
    prepare(eu_lab, row["preconditions"])
    assert play(eu_lab, gateway, row["input"]) == []
    assert eu_lab.events("up") == []
    assert eu_lab.call("session", key=DEV_EUI).f_cnt_up == 7
    if row["id"] == "err-fcnt-same":
        assert [entry.code for entry in eu_lab.events("log")] == ["UPLINK_F_CNT_RETRANSMISSION"]


@pytest.mark.parametrize("row", params([SCENARIOS[id] for id in ("q-unconf", "q-conf")], "id"))
def test_queue_after_tx_ack(eu_lab: Lab, row: Row) -> None:
    gateway = gateway_of(eu_lab)
    prepare(eu_lab, row["preconditions"])
    play(eu_lab, gateway, row["input"])
    (item,) = eu_lab.call("queue", key=DEV_EUI).items
    assert (item.state, item.f_cnt_down) == ("sent", 5)
    assert len(eu_lab.events("txack")) == 1
    waiting = eu_lab.state.devices[int(DEV_EUI, 16)].queue
    assert bool(waiting) is item.confirmed


@pytest.mark.parametrize("row", params([SCENARIOS[id] for id in ("join10", "join10-reuse", "join10-disabled")], "id"))
def test_otaa(eu_lab: Lab, row: Row) -> None:
    """DevAddr and JoinNonce are chosen for the server as the scenario has them; the rest is its own work."""
    lab, gateway = eu_lab, gateway_of(eu_lab)
    told = row["preconditions"]
    device = told["device"]
    lab.device(
        device["dev_eui"],
        device["mac_version"],
        join_eui=device["join_eui"],
        app_key=device["app_key"],
        disabled=bool(told.get("is_disabled")),
    )
    phy = bytes.fromhex(row["input"]["phy_hex"])
    ask = lab.answer_joins
    if told.get("used_dev_nonces"):
        node = OtaaDevice(int(device["dev_eui"], 16), int(device["join_eui"], 16), bytes.fromhex(device["app_key"]))
        assert node.join_request(told["used_dev_nonces"][0]) == phy
        (first,) = lab.uplink(phy, gateway)
        node.accept(first.phy, told["used_dev_nonces"][0])
        lab.kill()
    lab.answer_joins = lambda requests: ask([_with_address(request, told["forced_dev_addr"]) for request in requests])
    heard_tmst = gateway.tmst()
    sent = play(lab, gateway, row["input"])
    windows = row["expected"]["downlinks"]
    assert len(sent) == min(1, len(windows))
    if not windows:
        return
    (one,) = sent
    assert (one.txpk["tmst"] - heard_tmst) == windows[0]["delay_s"] * SECOND_US
    node = OtaaDevice(int(device["dev_eui"], 16), int(device["join_eui"], 16), bytes.fromhex(device["app_key"]))
    accept = node.accept(one.phy, int.from_bytes(phy[17:19], "little"))
    clear = row["expected"]["join_accept_clear"]
    assert (f"{accept.dev_addr:08x}", f"{accept.net_id:06x}") == (clear["dev_addr"], clear["net_id"])
    assert (accept.dl_settings, accept.rx_delay) == (0, clear["rx_delay"])


def _with_address(request: JoinReq, dev_addr: str) -> JoinReq:
    request.dev_addr = DevAddr.parse(dev_addr)
    return request


def test_cflist_of_five_channels(tmp_path: Path) -> None:
    row = SCENARIOS["join10-cflist"]
    lab = Lab(tmp_path, region="EU868", channels="867")
    gateway = gateway_of(lab)
    device = row["preconditions"]["device"]
    lab.device(device["dev_eui"], device["mac_version"], join_eui=device["join_eui"], app_key=device["app_key"])
    (sent,) = play(lab, gateway, row["input"])
    node = OtaaDevice(int(device["dev_eui"], 16), int(device["join_eui"], 16), bytes.fromhex(device["app_key"]))
    assert node.accept(sent.phy, 258).cflist.hex() == row["expected"]["cflist_hex"]


# --------------------------------------------------------------------------------------------------- channel masks


def extra_channels_0_to_7(lab: Lab) -> Any:
    session = lab.state.devices[int(DEV_EUI, 16)].session
    assert session is not None
    channels = tuple(ExtraChannel(hz, 0, 5) for hz in range(867_100_000, 868_100_000, 200_000))
    session.radio = lab.state.radio(session.radio._replace(channels=channels))
    return session


@pytest.mark.parametrize("id", ["adr-chmask", "adr-chmask+adr"])
def test_channels_that_shall_be_off(eu_lab: Lab, id: str) -> None:
    """The mask goes down without the ADR bit too. NbTrans is what the device uses (1), the scenario's is 0; of ADR a frame
    alone decides nothing here."""
    row = SCENARIOS[id]
    gateway = gateway_of(eu_lab)
    prepare(eu_lab, row["preconditions"])
    session = extra_channels_0_to_7(eu_lab)
    (sent,) = play(eu_lab, gateway, row["input"])
    wanted = bytes.fromhex(row["expected"]["downlinks"][0]["phy_hex"])
    assert sent.phy[:8] == wanted[:8]
    assert (sent.phy[8], sent.phy[9] & 0x0F, sent.phy[10:12]) == (0x03, wanted[9] & 0x0F, wanted[10:12])
    assert session.radio.disabled == 0, "until the answer nothing has changed"


def test_link_adr_ans_stores_what_was_asked(eu_lab: Lab) -> None:
    row = SCENARIOS["adr-ans"]
    gateway = gateway_of(eu_lab)
    prepare(eu_lab, row["preconditions"])
    session = extra_channels_0_to_7(eu_lab)
    memory = link_adr.memory_of(session)
    memory.asked(0, 3, 1)
    link_adr.keep(session, memory)
    asked = LinkADRReq(0, 3, 0b111, 0, 1).encode()
    session.radio = eu_lab.state.radio(session.radio._replace(asked=asked))
    assert play(eu_lab, gateway, row["input"]) == []
    wanted = row["expected"]["session_after"]
    assert (session.dr, session.tx_power, session.nb_trans) == tuple(
        wanted[name] for name in ("dr", "tx_power_index", "nb_trans")
    )
    on = [index for index in range(8) if not session.radio.disabled >> index & 1]
    assert on == wanted["enabled_uplink_channels"]
    eu_lab.kill()
    assert eu_lab.call("session", key=DEV_EUI).tx_power_index == 3
