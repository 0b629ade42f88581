"""The internal API: every method once well and once badly; refusals name the field."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from internalapi import messages as m
from lns.api.errors import Refused
from lns.api.table import HANDLERS
from tests.support.lab import SECOND_US, Lab
from tests.support.node import keys_1_0
from tests.support.otaa_device import OtaaDevice

DEV_EUI = "0202030405060708"
KEY = "8a3f0c5be1f2d4790613aa7be9d05c12"


def refused(lab: Lab, method: str, /, **fields: Any) -> tuple[str, str | None]:
    """Code and field of the refusal."""
    with pytest.raises(Refused) as caught:
        lab.call(method, **fields)
    problem = caught.value.problem
    assert problem.detail
    return problem.code, problem.field


def test_every_method_has_a_handler() -> None:
    assert set(HANDLERS) == set(m.METHODS)


# ----------------------------------------------------------------------------------------------------- gateways


def test_gateways(lab: Lab) -> None:
    eui = "70b3d50000000001"
    result = lab.call(
        "gateway_put", gateway_eui="70-B3-D5-00-00-00-00-01", name="Крыша", latitude=55.05, tags={"a": "b"}
    )
    assert (result.created, result.changed, result.unchanged) == (1, 0, 0)
    same = lab.call("gateway_put", gateway_eui=eui, name="Крыша", latitude=55.05, tags={"a": "b"})
    assert (same.created, same.changed, same.unchanged) == (0, 0, 1)
    assert lab.call("gateway_put", gateway_eui=eui, name="Подвал").changed == 1
    lab.kill()
    record = lab.call("gateway", key=eui)
    assert (record.gateway_eui, record.name, record.latitude, record.online, record.last_seen_us) == (
        eui, "Подвал", None, False, None,
    )  # fmt: skip
    assert record.created_at_us > 0 and len(record.sub_bands) == 3
    lab.call("gateway_delete", key=eui)
    assert refused(lab, "gateway", key=eui) == ("not_found", None)
    assert refused(lab, "gateway_delete", key=eui) == ("not_found", None)
    lab.kill()
    assert lab.call("gateways").items == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"gateway_eui": "70b3"}, "gateway_eui"),
        ({"gateway_eui": "x" * 16}, "gateway_eui"),
        ({"latitude": 91.0, "longitude": 0.0}, "latitude"),
        ({"latitude": 0.0, "longitude": -181.0}, "longitude"),
        ({"name": "x" * 201}, "name"),
    ],
)
def test_gateways_refused(lab: Lab, fields: dict[str, Any], field: str) -> None:
    assert refused(lab, "gateway_put", **({"gateway_eui": "70b3d50000000001"} | fields)) == ("invalid", field)
    assert lab.call("gateways").items == []


def test_gateway_state_is_seen(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp()
    lab.uplink(node.up(confirmed=True))
    record = lab.call("gateway", key=gateway.eui)
    assert (record.uplinks, record.downlinks, record.tx_outcomes, record.address) == (
        1,
        1,
        {"NONE": 1},
        "10.0.0.1:20003",
    )
    assert record.rtt_ms == 0.0
    (band,) = [band for band in record.sub_bands if band.used_ms]
    assert band.used_ms == pytest.approx(144.384)


# ----------------------------------------------------------------------------------------------------- profiles


def test_profiles(lab: Lab) -> None:
    built_in = {one.name for one in lab.call("profiles").items if one.built_in}
    assert {"karat-926lw", "vega-si-11", "lorawan-1.0.3", "lorawan-1.1"} <= built_in
    assert lab.call("profile_put", name="mine", mac_version="1.0.4", codec="karat").created == 1
    assert lab.call("profile_put", name="mine", mac_version="1.0.4", codec="karat").unchanged == 1
    lab.device(DEV_EUI, profile="mine", activation="ABP")
    assert lab.call("profile_put", name="mine", mac_version="1.0.4", codec="vega-si-11").changed == 1
    assert lab.call("device", key=DEV_EUI).codec == "vega-si-11"
    lab.kill()
    assert lab.call("device", key=DEV_EUI).codec == "vega-si-11"
    assert refused(lab, "profile_delete", key="mine")[0] == "conflict"
    lab.call("device_delete", key=DEV_EUI)
    lab.call("profile_delete", key="mine")
    assert refused(lab, "profile_delete", key="mine") == ("not_found", None)
    assert refused(lab, "profile_delete", key="karat-926lw")[0] == "conflict"
    assert refused(lab, "profile_put", name="karat-926lw")[0] == "conflict"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "a b"),
        ("mac_version", "2.0"),
        ("region", "EU868"),
        ("device_class", "D"),
        ("adr", "magic"),
        ("adr_margin_db", float("nan")),
        ("rx1_delay_s", 0),
        ("rx1_delay_s", 16),
        ("expected_interval_s", 0),
        ("dev_status_interval_s", -1),
    ],
)
def test_profiles_refused(lab: Lab, field: str, value: Any) -> None:
    assert refused(lab, "profile_put", **({"name": "mine"} | {field: value})) == ("invalid", field)


# ------------------------------------------------------------------------------------------------------ devices


def otaa(**fields: Any) -> m.DeviceWrite:
    values = {"join_eui": "0102030405060708", "profile": "lorawan-1.0.3", "app_key": KEY, "name": "Счётчик"}
    return m.DeviceWrite(DEV_EUI, **(values | fields))


def test_devices(lab: Lab) -> None:
    result = lab.call("devices_put", items=[otaa(tags={"flat": "12"})])
    assert (result.created, result.changed, result.unchanged) == (1, 0, 0)
    record = lab.call("device", key="02-02-03-04-05-06-07-08")
    assert (record.dev_eui, record.join_eui, record.name, record.activation) == (
        DEV_EUI, "0102030405060708", "Счётчик", "OTAA",
    )  # fmt: skip
    assert (record.tags, record.disabled, record.dev_addr, record.last_seen_us) == ({"flat": "12"}, False, None, None)
    change = m.DeviceWrite(DEV_EUI, name="Другой")
    assert lab.call("devices_put", items=[change]).changed == 1
    assert lab.call("devices_put", items=[change]).unchanged == 1
    lab.kill()
    record = lab.call("device", key=DEV_EUI)
    assert (record.name, record.tags) == ("Другой", {"flat": "12"})
    lab.call("device_delete", key=DEV_EUI)
    lab.kill()
    assert lab.call("devices").items == []
    assert refused(lab, "device", key=DEV_EUI) == ("not_found", None)
    assert refused(lab, "device_delete", key=DEV_EUI) == ("not_found", None)


def test_devices_dry_run_and_create_only(lab: Lab) -> None:
    assert lab.call("devices_put", items=[otaa()], dry_run=True).created == 1
    assert lab.call("devices").items == []
    lab.call("devices_put", items=[otaa()], create_only=True)
    assert refused(lab, "devices_put", items=[otaa()], create_only=True) == ("conflict", "dev_eui")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"dev_eui": "12"}, "dev_eui"),
        ({"join_eui": "zz"}, "join_eui"),
        ({"profile": "nobody"}, "profile"),
        ({"profile": msgspec.UNSET}, "profile"),
        ({"activation": "OTA"}, "activation"),
        ({"app_key": "8a3f"}, "app_key"),
        ({"app_key": msgspec.UNSET}, "app_key"),
        ({"profile": "lorawan-1.1"}, "nwk_key"),
        ({"nwk_key": "x" * 32}, "nwk_key"),
        ({"name": "x" * 201}, "name"),
    ],
)
def test_devices_refused_all_or_none(lab: Lab, fields: dict[str, Any], field: str) -> None:
    good = m.DeviceWrite("0000000000000001", profile="lorawan-1.0.3", app_key=KEY)
    bad = otaa()
    for name, value in fields.items():
        setattr(bad, name, value)
    assert refused(lab, "devices_put", items=[good, bad]) == ("invalid", field)
    assert lab.call("devices").items == []


def test_key_is_not_in_its_refusal(lab: Lab) -> None:
    with pytest.raises(Refused) as caught:
        lab.call("devices_put", items=[otaa(app_key=KEY[:-1] + "g")])
    assert KEY[:10] not in str(caught.value.problem)


def test_device_twice_in_a_request(lab: Lab) -> None:
    assert refused(lab, "devices_put", items=[otaa(), otaa()]) == ("invalid", "dev_eui")


def test_abp_device_moves_to_another_mac_version(lab: Lab) -> None:
    """It has no root keys at all: nothing to be told to the join server."""
    node = lab.abp()
    lab.call("devices_put", items=[m.DeviceWrite(node.dev_eui, profile="lorawan-1.0.4", join_eui="0000000000000007")])
    record = lab.call("device", key=node.dev_eui)
    assert (record.mac_version, record.join_eui) == ("1.0.4", "0000000000000007")


def test_device_that_begins_to_join_needs_its_keys(lab: Lab) -> None:
    node = lab.abp()
    change = m.DeviceWrite(node.dev_eui, activation="OTAA")
    assert refused(lab, "devices_put", items=[change]) == ("invalid", "app_key")
    change.app_key = KEY
    assert lab.call("devices_put", items=[change]).changed == 1


def test_device_pages(lab: Lab) -> None:
    for number in range(25):
        lab.device(number * 3 + 1, activation="ABP", name=f"Meter {number:02}")
    seen: list[str] = []
    cursor = ""
    sizes = []
    while cursor is not None:
        page = lab.call("devices", limit=10, cursor=cursor)
        seen += [one.dev_eui for one in page.items]
        sizes.append(len(page.items))
        cursor = page.next_cursor
    assert sizes == [10, 10, 5] and seen == [f"{number * 3 + 1:016x}" for number in range(25)]
    assert [one.name for one in lab.call("devices", q="METER 07").items] == ["Meter 07"]
    assert [one.dev_eui for one in lab.call("devices", q="00001c").items] == [f"{28:016x}"]
    chosen = lab.call("devices", dev_euis=[f"{4:016x}", f"{5:016x}"]).items
    assert [one.dev_eui for one in chosen] == [f"{4:016x}"]
    for limit in (0, 1001, -1):
        assert refused(lab, "devices", limit=limit) == ("invalid", "limit")
    assert refused(lab, "devices", cursor="x") == ("invalid", "cursor")
    assert refused(lab, "devices", dev_euis=["x"]) == ("invalid", "dev_euis")


def test_gateway_pages(lab: Lab) -> None:
    for number in range(1, 8):
        lab.gateway(number)
    first = lab.call("gateways", limit=5)
    second = lab.call("gateways", limit=5, cursor=first.next_cursor)
    assert len(first.items) == 5 and len(second.items) == 2 and second.next_cursor is None
    assert len({one.gateway_eui for one in [*first.items, *second.items]}) == 7
    assert refused(lab, "gateways", limit=0) == ("invalid", "limit")


# ------------------------------------------------------------------------------------------- sessions and queues


def test_sessions(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp(f_cnt_up=5, f_cnt_down=9)
    session = lab.call("session", key=node.dev_eui)
    assert (session.dev_addr, session.mac_version, session.f_cnt_up, session.f_cnt_down) == ("01000001", "1.0", 4, 9)
    assert (session.rx1_delay_s, session.rx2_dr, session.rx2_frequency_hz) == (1, 0, 869_100_000)
    assert session.channels_hz == [868_900_000, 869_100_000]
    assert not any("key" in name for name in session.__struct_fields__)
    lab.call("session_delete", key=node.dev_eui)
    assert refused(lab, "session", key=node.dev_eui) == ("not_found", None)
    lab.uplink(node.up())
    assert lab.events() == []
    lab.kill()
    assert refused(lab, "session", key=node.dev_eui) == ("not_found", None)
    assert refused(lab, "session_delete", key="0000000000000009") == ("not_found", None)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"dev_addr": "0100"}, "dev_addr"),
        ({"app_s_key": "00"}, "app_s_key"),
        ({"nwk_s_key": "zz"}, "nwk_s_key"),
        ({"f_cnt_up": -1}, "f_cnt_up"),
        ({"f_cnt_up": 2**32 + 1}, "f_cnt_up"),
        ({"f_cnt_down": 2**32 + 1}, "f_cnt_down"),
        ({"a_f_cnt_down": -5}, "a_f_cnt_down"),
        ({"dev_eui": "x"}, "dev_eui"),
    ],
)
def test_sessions_refused(lab: Lab, fields: dict[str, Any], field: str) -> None:
    node = lab.abp()
    given = {"dev_eui": node.dev_eui, "dev_addr": "01000009", "app_s_key": KEY, "nwk_s_key": KEY}
    assert refused(lab, "session_put", **(given | fields)) == ("invalid", field)
    assert lab.call("session", key=node.dev_eui).dev_addr == "01000001"


def test_session_of_a_1_1_device_needs_its_keys(lab: Lab) -> None:
    node = lab.abp(mac_version="1.1.0")
    given = {"dev_eui": node.dev_eui, "dev_addr": "01000009", "app_s_key": KEY, "f_nwk_s_int_key": KEY}
    assert refused(lab, "session_put", **given) == ("invalid", "s_nwk_s_int_key")


def test_session_counters_go_to_the_end(lab: Lab) -> None:
    """An exhausted session may be taken over as it is: 2**32 is the next after the last."""
    node = lab.abp(f_cnt_up=2**32, f_cnt_down=2**32)
    assert lab.call("session", key=node.dev_eui).f_cnt_up == 2**32 - 1


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"f_port": 0}, "f_port"),
        ({"f_port": 224}, "f_port"),
        ({"data": bytes(243)}, "data"),
        ({"expires_at_us": 1}, "expires_at_us"),
        ({"dev_eui": "x"}, "dev_eui"),
    ],
)
def test_queue_refused(lab: Lab, fields: dict[str, Any], field: str) -> None:
    node = lab.abp()
    given = {"dev_eui": node.dev_eui, "f_port": 1, "data": b"x"}
    assert refused(lab, "queue_put", **(given | fields)) == ("invalid", field)
    assert lab.call("queue", key=node.dev_eui).items == []


def test_queue_of_nobody(lab: Lab) -> None:
    for method in ("queue", "queue_delete"):
        assert refused(lab, method, key="0000000000000009") == ("not_found", None)
    assert refused(lab, "queue_put", dev_eui="0000000000000009", f_port=1, data=b"")[0] == "not_found"


def test_queue_lists_the_newest_first(lab: Lab) -> None:
    node = lab.abp()
    ids = [lab.queue(node.dev_eui, bytes((number,))) for number in range(3)]
    items = lab.call("queue", key=node.dev_eui).items
    assert [item.id for item in items] == ids[::-1]
    assert (items[0].data, items[0].f_port, items[0].confirmed, items[0].f_cnt_down) == (b"\x02", 10, False, None)


def test_nonces_forget(lab: Lab) -> None:
    lab.gateway()
    device = OtaaDevice()
    lab.call("devices_put", items=[otaa()])
    lab.uplink(device.join_request(7))
    assert lab.uplink(device.join_request(7)) == []
    assert lab.call("nonces_forget", dev_euis=[DEV_EUI]).devices == 1
    lab.kill()
    assert len(lab.uplink(device.join_request(7))) == 1
    lab.advance(10 * SECOND_US)
    assert lab.call("nonces_forget", profile="lorawan-1.0.3").devices == 1
    assert lab.rows("SELECT what FROM audit") == [("DevNonces of 1 devices forgotten",)] * 2
    assert refused(lab, "nonces_forget") == ("invalid", "dev_euis")
    assert refused(lab, "nonces_forget", dev_euis=[DEV_EUI], profile="x") == ("invalid", "dev_euis")
    assert refused(lab, "nonces_forget", dev_euis=["0000000000000009"])[0] == "not_found"
    assert refused(lab, "nonces_forget", profile="nobody") == ("not_found", None)


# -------------------------------------------------------------------------------------------- frames and events


def test_frames(lab: Lab) -> None:
    gateways = [lab.gateway(1), lab.gateway(2)]
    node, other = lab.abp(1), lab.abp(2)
    start_us = lab.wall_us
    lab.uplink(node.up(b"\x01", port=5, confirmed=True, f_opts=b"\x02"), *gateways)
    lab.advance(5 * SECOND_US)
    lab.uplink(other.up(), gateways[0])
    newest, answer, first = lab.call("frames").items
    assert [one.type for one in (newest, answer, first)] == ["up", "down", "up"]
    assert (first.dev_eui, first.f_port, first.confirmed, first.outcome, first.dev_addr) == (
        node.dev_eui, 5, True, "handed_over", "01000001",
    )  # fmt: skip
    assert len(first.receptions) == 2 and "how well" in first.mac_commands[0]
    assert (answer.reply_to, answer.outcome, answer.gateway_eui) == (first.id, "sent", gateways[0].eui)
    assert "2 gateway" in answer.mac_commands[0]
    assert [step.partition(",")[0] for step, _ in answer.timeline] == ["committed", "handed over", "TX_ACK NONE"]
    assert node.read(answer.phy).ack
    ids = [one.id for one in (first, answer, newest)]

    def found(**fields: Any) -> list[int]:
        return [one.id for one in lab.call("frames", **fields).items]

    assert found(after=0) == ids
    assert found(after=ids[0]) == ids[1:]
    assert found(before=ids[2]) == [ids[1], ids[0]]
    assert found(dev_eui=other.dev_eui) == [ids[2]]
    assert found(dev_eui="0000000000000009") == []
    assert found(type="up") == [ids[2], ids[0]]
    assert found(type="down") == [ids[1]]
    assert found(type="join") == []
    assert found(gateway_eui=gateways[1].eui) == [ids[0]]
    assert found(since_us=start_us + SECOND_US) == [ids[2]]
    assert found(until_us=start_us + SECOND_US) == [ids[1], ids[0]]
    assert found(limit=1) == [ids[2]]
    assert lab.call("frames", limit=1).next_before == ids[2]
    for fields, field in [({"limit": 0}, "limit"), ({"dev_eui": "x"}, "dev_eui"), ({"gateway_eui": "x"}, "gateway_eui"),
                          ({"type": "sideways"}, "type")]:  # fmt: skip
        assert refused(lab, "frames", **fields) == ("invalid", field)


def test_frames_of_devices_without_their_keys(lab: Lab) -> None:
    """Sessions end and devices go; the log stays readable."""
    lab.gateway()
    node, gone = lab.abp(1, mac_version="1.1.0"), lab.abp(2)
    lab.uplink(node.up(f_opts=b"\x02", tx_dr=3))
    lab.uplink(node.up(b"\x02", port=0, tx_dr=3))
    lab.uplink(gone.up())
    lab.call("session_delete", key=node.dev_eui)
    lab.call("device_delete", key=gone.dev_eui)
    page = lab.call("frames").items
    assert {one.dev_eui for one in page} == {node.dev_eui, ""}


def test_events_by_cursor(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp()
    for number in range(5):
        lab.uplink(node.up(bytes((number,))))

    def got(**fields: Any) -> list[int]:
        raw = msgspec.msgpack.encode(lab.call("events", **fields))
        return [event.id for event in m.decoder(m.EventsResult).decode(raw).events]

    assert got() == [1, 2, 3, 4, 5]
    assert got(after=3) == [4, 5]
    assert got(after=1, limit=2) == [2, 3]
    assert got(after=5) == []
    assert refused(lab, "events", limit=0) == ("invalid", "limit")


def test_status(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp()
    lab.uplink(node.up())
    status = lab.call("status")
    assert (status.region, status.devices, status.sessions, status.gateways) == ("RU864", 1, 1, 1)
    assert (status.storage, status.last_event_id, status.counters["accepted"]) == ("ok", 1, 1)


def test_keys_never_come_back(lab: Lab) -> None:
    node = lab.abp()
    lab.call("devices_put", items=[otaa()])
    answers = [lab.call("device", key=DEV_EUI), lab.call("session", key=node.dev_eui), lab.call("devices")]
    text = repr(answers) + repr(lab.state.devices) + repr(lab.session(node))
    for secret in (KEY, keys_1_0(1).app_s_key.hex(), repr(keys_1_0(1).app_s_key)):
        assert secret not in text


# ------------------------------------------------------------------------------------------- weak root keys (SEC-06)


@pytest.mark.parametrize("dry_run", [True, False])
def test_weak_and_shared_keys_are_told_without_the_key(lab: Lab, dry_run: bool) -> None:
    weak, shared = "00112233445566778899aabbccddeeff", KEY
    items = [
        m.DeviceWrite(dev_eui=f"02030405060708{n:02x}", profile="lorawan-1.0.3", join_eui="01" * 8, app_key=key)
        for n, key in enumerate((weak, shared, shared))
    ]
    told = lab.call("devices_put", items=items, dry_run=dry_run).warnings
    assert len(told) == 2
    assert "0203040506070800: AppKey is guessable" in told[0] and "2 devices share one root key" in told[1]
    assert not any(key in sentence for key in (weak, shared) for sentence in told)
    assert len(lab.call("devices").items) == (0 if dry_run else 3)


def test_warnings_are_as_many_as_somebody_reads(lab: Lab) -> None:
    items = [
        m.DeviceWrite(dev_eui=f"0203040506{n:06x}", profile="lorawan-1.0.3", join_eui="01" * 8, app_key=f"{n:02x}" * 16)
        for n in range(150)
    ]
    told = lab.call("devices_put", items=items, dry_run=True).warnings
    assert len(told) == 101 and told[-1] == "50 more of these"
