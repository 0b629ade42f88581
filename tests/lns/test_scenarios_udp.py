"""Every scenario of tests/vectors/lns_scenarios.json over real UDP: load the session, send the frame, compare.

The file holds what ChirpStack's own tests expect. Where this server means to act otherwise the play says so and why; the bytes
on the air are the vectors' everywhere else. Power is the plan's 16 dBm in both windows (869.525 MHz would allow 29: ``regional``
keeps to the smaller of plan and sub-band).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from lorasim.crypto import SessionKeys

from internalapi import messages as m
from internalapi.client import ApiError
from lns.clock import Now, system_now
from lns.downlink.listener import class_of
from lns.mac.link_adr import keep, memory_of
from lns.radio import ExtraChannel, enabled_channels
from lorawan.backend import JoinReq
from lorawan.class_b import BEACON_PERIOD_US, ping_slots_us
from lorawan.gps import utc_to_gps_us
from lorawan.identifiers import DevAddr
from tests.support.node import Node
from tests.support.otaa_device import OtaaDevice
from tests.support.udp_stage import (
    DEV_EUI,
    GATEWAY,
    S10,
    TMST,
    activate,
    check_counters,
    check_event,
    check_window,
    check_windows,
    enqueue,
    hear,
    profile,
)
from tests.support.udp_world import Down, World, world
from tests.support.vectors import Row, load

FILE = load("lns_scenarios.json")
ROWS: dict[str, Row] = {row["id"]: row for row in FILE["scenarios"]}
ABSENT = "00000000000000ff"
"""A gateway that is registered and never there."""
Play: TypeAlias = Callable[[Path, Row], Awaitable[None]]
PLAYS: dict[str, Play] = {}


def plays(*ids: str) -> Callable[[Play], Play]:
    """Register a play for scenarios."""

    def register(play: Play) -> Play:
        for id in ids:
            assert id in ROWS and id not in PLAYS, id
            PLAYS[id] = play
        return play

    return register


@pytest.mark.parametrize("id", list(ROWS))
async def test_scenario(tmp_path: Path, id: str) -> None:
    await PLAYS[id](tmp_path, ROWS[id])


# --------------------------------------------------------------------------------------------------------- class A


async def class_a(folder: Path, row: Row, settings: dict[str, Any] | None = None, **fields: Any) -> None:
    """One uplink and what follows from it."""
    expected = row["expected"]
    before = row["preconditions"]
    if "device_status_req_per_day" in before:
        fields["dev_status_interval_s"] = 86_400 // before["device_status_req_per_day"]
    fields.setdefault("rx1_delay_s", before.get("profile_rx1_delay", before.get("rx1_delay", 1)))
    async with world(folder, GATEWAY, region="EU868", **(settings or {})) as on:
        await activate(on, before, **fields)
        await hear(on, row["input"])
        await check_windows(on, expected.get("downlinks", []))
        if expected.get("event"):
            await check_event(on, expected["event"])
        elif "event" in expected and not expected.get("downlinks"):
            assert await on.events() == []
        await check_counters(on, expected)
        for wanted in expected.get("events_also", ()):
            (status,) = await on.events_when(1, "status")
            assert status.margin_db == wanted["margin"] and round((status.battery or 0) / 254 * 100, 4) == 50.3937


plays(
    "up10-data", "up10-fport-only", "up10-confirmed-empty", "up10-lrfhss", "err-mic", "device-disabled", "mac-devstatusans",
    "mac-linkcheck", "mac11-linkcheck", "q-toolarge", "q11-unconf", "q11-conf", "q11-fpending-mac", "up11-dr5", "rxw-12",
    "err11-dr", "adr-off", "adr-ackreq", "rxdelay-3", "rxdelay-5-cmd", "mac-rxtimingans", "mac-devstatusreq+data", "e2e-down",
)(class_a)  # fmt: skip


@plays("rxw-1", "rxw-2")
async def one_window(folder: Path, row: Row) -> None:
    await class_a(folder, row, {"rx_window": f"rx{row['preconditions']['rx_window']}"})


@plays("rxw-size")
async def too_long_for_the_second_window(folder: Path, row: Row) -> None:
    """RX1 as in the vector. Where the vector has an empty frame for RX2 there is none here: what a gateway refused is tried
    again with the same bytes or not at all, so that no counter is ever on the air with two different frames."""
    async with world(folder, GATEWAY, region="EU868") as on:
        await activate(on, row["preconditions"])
        await hear(on, row["input"])
        (down,) = await on.gateway.downlinks(refuse=True, expect=1)
        check_window(down, row["expected"]["downlinks"][0])
        (item,) = (await on.client.queue(key=DEV_EUI)).items
        assert item.state == "queued" and "COLLISION_PACKET" in item.reason


@plays("q-unconf", "q-conf")
async def queued(folder: Path, row: Row) -> None:
    await class_a(folder / "air", row) if (folder / "air").mkdir() is None else None
    (folder / "ack").mkdir()
    async with world(folder / "ack", GATEWAY, region="EU868") as on:
        await activate(on, row["preconditions"])
        await hear(on, row["input"])
        await on.gateway.downlinks(refuse=False)
        await on.events_when(1, "txack")
        (item,) = (await on.client.queue(key=DEV_EUI)).items
        assert (item.state, item.f_cnt_down) == ("sent", 5)
        waiting = on.network.state.devices[int(DEV_EUI, 16)].queue
        assert bool(waiting) is item.confirmed, "a confirmed one waits for its ACK"


# --------------------------------------------------------------------------------------------------------- counters


@plays("err-fcnt-same", "err-fcnt-reset")
async def counter_errors(folder: Path, row: Row) -> None:
    """No event, no downlink, the counter as it was."""
    async with world(folder, GATEWAY, region="EU868") as on:
        await activate(on, row["preconditions"])
        await hear(on, row["input"])
        assert await on.gateway.downlinks(refuse=False) == [] and await on.events() == []
        assert on.session(DEV_EUI).f_cnt_up == 8
        if row["id"] == "err-fcnt-same":
            (log,) = await on.events_when(1, "log")
            assert log.code == "UPLINK_F_CNT_RETRANSMISSION"


@plays("skip-fcnt-7", "skip-fcnt-0")
async def relaxed(folder: Path, row: Row) -> None:
    """The check is never off here: a reset is taken from an ABP device whose profile allows it, once, and told."""
    async with world(folder, GATEWAY, region="EU868") as on:
        await activate(on, row["preconditions"], relaxed_f_cnt_reset=True)
        await hear(on, row["input"])
        await check_event(on, row["expected"]["event"])
        await check_counters(on, row["expected"])
        assert on.session(DEV_EUI).n_f_cnt_down == 5
        assert [log.code for log in await on.events_when(1, "log")] == ["UPLINK_F_CNT_RESET"]
        await hear(on, row["input"], tmst=6 * TMST)
        assert await on.gateway.downlinks(refuse=False) == [] and len(await on.events()) == 1, "a replay"


# ------------------------------------------------------------------------------------- gateways of one organisation


@plays("gw-private-same", "gw-private-other")
async def private_gateway(folder: Path, row: Row) -> None:
    ours = row["id"] == "gw-private-same"
    async with world(folder, GATEWAY, {"private_to": "vodokanal"}, region="EU868") as on:
        await activate(on, row["preconditions"], tags={"organisation": "vodokanal" if ours else "another"})
        await hear(on, row["input"])
        assert await on.gateway.downlinks(refuse=False) == []
        assert len(await on.events()) == ours
        await check_counters(on, row["expected"])


@plays("join10-private")
async def join_at_a_private_gateway(folder: Path, row: Row) -> None:
    async with world(folder, GATEWAY, {"private_to": "vodokanal"}, region="EU868") as on:
        await register(on, row["preconditions"])
        await hear(on, row["input"])
        assert await on.gateway.downlinks(refuse=False) == [] and on.session(DEV_EUI) is None


# --------------------------------------------------------------------------------------------------- end to end keys


@plays("e2e-appskey")
async def envelope_is_passed_on(folder: Path, row: Row) -> None:
    async with world(folder, GATEWAY, region="EU868") as on:
        name = await profile(on, "1.0.3")
        await on.client.devices_put(items=[m.DeviceWrite(DEV_EUI, profile=name, activation="ABP")])
        envelope = m.AppSKeyEnvelope("application-1", "a5" * 24)
        await on.client.session_put(
            dev_eui=DEV_EUI, dev_addr=S10["dev_addr"], nwk_s_key=S10["nwk_s_key"], app_s_key_envelope=envelope,
            f_cnt_up=S10["fcnt_up_next"], f_cnt_down=S10["fcnt_down_next"],
        )  # fmt: skip
        await hear(on, row["input"])
        await check_event(on, row["expected"]["event"])
        (event,) = await on.events()
        assert event.app_s_key == envelope


# --------------------------------------------------------------------------------------------------------------- joins


async def register(on: World, told: Row, **fields: Any) -> OtaaDevice:
    device = told["device"]
    name = await profile(on, device["mac_version"], **fields)
    write = m.DeviceWrite(
        device["dev_eui"], join_eui=device["join_eui"], app_key=device["app_key"], profile=name,
        disabled=bool(told.get("is_disabled")),
    )  # fmt: skip
    await on.client.devices_put(items=[write])
    _choose_dev_addr(on, told["forced_dev_addr"])
    return OtaaDevice(int(device["dev_eui"], 16), int(device["join_eui"], 16), bytes.fromhex(device["app_key"]))


def _choose_dev_addr(on: World, dev_addr: str) -> None:
    """DevAddr is the server's to choose; the scenario has chosen for it."""
    ask = on.network.join_server.join

    async def with_address(requests: list[JoinReq]) -> Any:
        for request in requests:
            request.dev_addr = DevAddr.parse(dev_addr)
        return await ask(requests)

    on.network.join_server.join = with_address  # type: ignore[method-assign,assignment]


@plays("join10", "join10-reuse", "join10-disabled")
async def join(folder: Path, row: Row) -> None:
    """JoinNonce is this server's own, so the accept is read by a device and not compared byte by byte."""
    told = row["preconditions"]
    async with world(folder, GATEWAY, region="EU868") as on:
        node = await register(on, told)
        phy = bytes.fromhex(row["input"]["phy_hex"])
        if told.get("used_dev_nonces"):
            (nonce,) = told["used_dev_nonces"]
            assert node.join_request(nonce) == phy
            await hear(on, row["input"], tmst=1)
            assert len(await on.gateway.downlinks(refuse=False)) == 1
            on.network.state.answered_joins.clear()  # as after a restart: only the nonce is known
        await hear(on, row["input"])
        windows = row["expected"]["downlinks"]
        found = await on.gateway.downlinks(refuse=True, expect=len(windows))
        assert len(found) == len(windows)
        for down, wanted in zip(found, windows, strict=True):
            assert down.txpk["tmst"] - TMST == wanted["delay_s"] * 1_000_000
        if windows:
            accept = node.accept(found[0].phy, int.from_bytes(phy[17:19], "little"))
            clear = row["expected"]["join_accept_clear"]
            assert (f"{accept.dev_addr:08x}", f"{accept.net_id:06x}") == (clear["dev_addr"], clear["net_id"])
            assert (accept.dl_settings, accept.rx_delay) == (0, clear["rx_delay"])


@plays("join10-cflist")
async def join_with_channels(folder: Path, row: Row) -> None:
    async with world(folder, GATEWAY, region="EU868", channels="867") as on:
        node = await register(on, row["preconditions"])
        await hear(on, row["input"])
        (down,) = await on.gateway.downlinks(refuse=False, expect=1)
        assert node.accept(down.phy, 258).cflist.hex() == row["expected"]["cflist_hex"]


@plays("rejoin2")
async def rejoin(folder: Path, row: Row) -> None:
    """A 1.1 device joins first, for a session whose root keys nobody has cannot be rekeyed; then its own rejoin-request."""
    session = row["preconditions"]["session"]
    nwk_key, app_key = bytes(range(16)), bytes(range(16, 32))
    async with world(folder, GATEWAY, region="EU868", net_id=row["preconditions"]["net_id"]) as on:
        name = await profile(on, "1.1.0")
        write = m.DeviceWrite(
            session["dev_eui"], join_eui=session["join_eui"], app_key=app_key.hex(), nwk_key=nwk_key.hex(), profile=name
        )
        await on.client.devices_put(items=[write])
        node = OtaaDevice(int(session["dev_eui"], 16), int(session["join_eui"], 16), app_key, nwk_key)
        given = row["input"]
        await hear(on, given | {"phy_hex": node.join_request(1).hex()})
        down, _ = await on.gateway.downlinks(refuse=True, expect=2)  # so that its airtime is free again
        keys = node.accept(down.phy, 1).keys
        net_id = int(row["preconditions"]["net_id"], 16)
        again = TMST + 60_000_000
        await hear(on, given | {"phy_hex": node.rejoin_request(2, 0, net_id, keys["SNwkSIntKey"]).hex()}, tmst=again)
        (down,) = await on.gateway.downlinks(refuse=False, expect=1)
        assert down.txpk["tmst"] - again == 5_000_000


# --------------------------------------------------------------------------------------------------------------- relays


@plays("relay-up", "relay-up-conf", "relay-join")
async def relayed(folder: Path, row: Row) -> None:
    told, expected = row["preconditions"], row["expected"]
    async with world(folder, GATEWAY, region="EU868") as on:
        for name, relay in (("relay", True), ("behind", False)):
            values = {"region": "EU868", "dev_status_interval_s": 0, "adr": "recommended"}
            await on.client.profile_put(name=name, mac_version="1.0.4", relay=relay, **values)
        for dev_eui, name, one in (("aa" * 8, "relay", told["relay"]), ("bb" * 8, "behind", told["end_device"])):
            if "dev_addr" in one:
                await on.client.devices_put(items=[m.DeviceWrite(dev_eui, profile=name, activation="ABP")])
                await on.client.session_put(
                    dev_eui=dev_eui, dev_addr=one["dev_addr"], nwk_s_key=one["nwk_s_key"],
                    app_s_key=one.get("app_s_key", "00" * 16), f_cnt_up=one.get("fcnt_up_next", 0),
                    f_cnt_down=one["fcnt_down_next"],
                )  # fmt: skip
            else:
                write = m.DeviceWrite(one["dev_eui"], join_eui=one["join_eui"], app_key=one["app_key"], profile=name)
                await on.client.devices_put(items=[write])
                _choose_dev_addr(on, told["forced_dev_addr"])
        await hear(on, row["input"])
        wanted = expected.get("downlinks", [])
        found = await on.gateway.downlinks(refuse=True, expect=len(wanted))
        assert len(found) == len(wanted)
        for down, window in zip(found, wanted, strict=True):
            if row["id"] == "relay-join":  # JoinNonce is this server's own: all around the accept is the vector's
                assert down.phy[:9].hex() == window["phy_hex"][:18] and len(down.phy) == len(window["phy_hex"]) // 2
            else:
                check_window(down, window)
        if "events" in expected:
            events = await on.events_when(2)
            for event, one in zip(events, expected["events"], strict=True):
                assert (event.dev_addr, event.f_cnt, event.f_port) == (one["dev_addr"], one["f_cnt"], one["f_port"])
                assert event.data.hex() == one["data_hex"]


# ------------------------------------------------------------------------------------------------- classes B and C


def node_of_s10() -> Node:
    keys = SessionKeys.of_1_0(bytes.fromhex(S10["nwk_s_key"]), bytes.fromhex(S10["app_s_key"]))
    return Node(int(S10["dev_addr"], 16), keys, S10["fcnt_up_next"], DEV_EUI)


async def listening(on: World, before: Row, device_class: str, **rxpk: Any) -> Any:
    """Session S10 of a device of class B or C after one uplink, long enough ago that its receive windows are over."""
    session = await activate(on, {"session": before["session"]}, device_class=device_class)
    await on.gateway.hear(node_of_s10().up(b"", None), TMST, freq=868.1, datr="SF12BW125", lsnr=0, rssi=0, **rxpk)
    assert await on.gateway.downlinks(refuse=False) == []
    listener = session.device.listener
    listener.uplink_us -= 10_000_000
    return session


@plays("up10-classc-runafter")
async def windows_come_first(folder: Path, row: Row) -> None:
    async with world(folder, GATEWAY, region="EU868") as on:
        session = await activate(on, row["preconditions"], device_class="C")
        await hear(on, row["input"])
        await check_event(on, row["expected"]["event"])
        await on.client.queue_put(dev_eui=DEV_EUI, f_port=10, data=b"\1")
        assert await on.gateway.downlink() is None
        wait_us = (on.network.engine.timer() or 0) - session.device.listener.uplink_us
        assert 4_900_000 < wait_us < 5_200_000, "RX1, RX2, and the time of a repetition"


@plays("cc-down", "cc-down-conf")
async def class_c(folder: Path, row: Row) -> None:
    async with world(folder, GATEWAY, region="EU868") as on:
        await listening(on, row["preconditions"], "C")
        await enqueue(on, row["preconditions"])
        down = await on.gateway.downlink(2)
        (wanted,) = row["expected"]["downlinks"]
        assert down is not None and down.txpk["imme"] and "tmst" not in down.txpk
        assert down.phy.hex() == wanted["phy_hex"]
        assert (round(down.txpk["freq"] * 1e6), down.txpk["datr"]) == (869_525_000, "SF12BW125")
        on.gateway.tx_ack(down)
        await on.events_when(1, "txack")
        (item,) = (await on.client.queue(key=DEV_EUI)).items
        assert item.state == "sent"
        assert bool(on.network.state.devices[int(DEV_EUI, 16)].queue) is item.confirmed, "pending until its ACK"


@plays("cc-toolarge")
async def longer_than_any_frame(folder: Path, row: Row) -> None:
    """The vector's server takes the item and drops it; this one does not take it, and says why."""
    async with world(folder, GATEWAY, region="EU868") as on:
        await listening(on, row["preconditions"], "C")
        with pytest.raises(ApiError, match="LoRaWAN carries at most 242"):
            await enqueue(on, row["preconditions"])
        assert await on.gateway.downlink() is None


@plays("join10-classc", "join10-classb")
async def class_after_a_join(folder: Path, row: Row) -> None:
    """Class C by the profile, with the join; class B only once the device says that it has the beacon. Nothing is sent to
    either before the first uplink of the session."""
    told = row["preconditions"]
    async with world(folder, GATEWAY, region="EU868") as on:
        node = await register(on, told, device_class="C" if told.get("profile_class_c") else "B")
        await hear(on, row["input"])
        (down,) = await on.gateway.downlinks(refuse=False, expect=1)
        accepted = node.accept(down.phy, 258)
        await on.client.queue_put(dev_eui=DEV_EUI, f_port=10, data=b"\1")
        assert await on.gateway.downlink() is None
        session = on.session(DEV_EUI)
        device = session.device
        keys = SessionKeys.of_1_0(accepted.keys["NwkSKey"], accepted.keys["AppSKey"])
        phy = Node(accepted.dev_addr, keys).up(b"", None)
        await on.gateway.hear(phy, 2 * TMST, freq=868.1, datr="SF12BW125", lsnr=0, rssi=0)
        (answer,) = await on.gateway.downlinks(refuse=False, expect=1)
        assert answer.txpk["tmst"] == 3 * TMST - 9_000_000, "class A comes first"
        assert (class_of(device), session.radio.beacon_locked) == (device.profile.device_class, False)


@plays("cb-lock")
async def beacon_locked(folder: Path, row: Row) -> None:
    async with world(folder, GATEWAY, region="EU868") as on:
        session = await activate(on, row["preconditions"], device_class="B")
        assert not session.radio.beacon_locked
        await hear(on, row["input"])
        await on.gateway.downlinks(refuse=False)
        assert class_of(session.device) == "B" and session.radio.beacon_locked
        await check_counters(on, row["expected"])


@plays("cb-down")
async def class_b(folder: Path, row: Row) -> None:
    """The frame of the next ping slot. Slots are up to 128 s apart: the server's timer is called at its time."""
    before, expected = row["preconditions"], row["expected"]
    for more in (False, True):
        place = folder / str(more)
        place.mkdir()
        async with world(place, GATEWAY, region="EU868") as on:
            gps_ms = utc_to_gps_us(on.network.started_us) // 1000
            session = await listening(on, before, "B", tmms=gps_ms)
            radio = session.radio._replace(
                beacon_locked=True, ping_periodicity=7, ping_slot_dr=before["ping_slot_dr"],
                ping_slot_frequency_hz=before["ping_slot_freq_hz"],
            )  # fmt: skip
            session.radio = on.network.state.radio(radio)
            await enqueue(on, before)
            if more:
                await enqueue(on, before)
            down = await when_its_time_comes(on)
            wanted = expected["more_data_variant_phy_hex"] if more else expected["downlinks"][0]["phy_hex"]
            assert down.phy.hex() == wanted
            assert (round(down.txpk["freq"] * 1e6), down.txpk["datr"]) == (868_300_000, "SF10BW125")
            slot_us = down.txpk["tmms"] * 1000
            beacon_us = slot_us - slot_us % BEACON_PERIOD_US
            (slot,) = list(ping_slots_us(beacon_us, int(S10["dev_addr"], 16), 7))
            assert slot - slot % 1000 == slot_us and "tmst" not in down.txpk


async def when_its_time_comes(on: World) -> Down:
    """Call the engine's timer at the moments that it wants, until a downlink is on the wire."""
    engine = on.network.engine
    for _ in range(50):
        down = await on.gateway.downlink(0.1)
        if down is not None:
            return down
        now, timer_us = system_now(), engine.timer()
        assert timer_us is not None
        engine.handle_timer(Now(timer_us, now.wall_us + timer_us - now.mono_us))
        on.network.pump()
    raise AssertionError("nothing was sent")


# ------------------------------------------------------------------------------------------------------ ADR and MAC


@plays("adr-up", "adr-chmask", "adr-chmask+adr")
async def link_adr(folder: Path, row: Row) -> None:
    """The vectors' sessions hold NbTrans 0, "as it is"; where ADR itself asks, it is 1 there and here."""
    before = row["preconditions"]
    async with world(folder, GATEWAY, region="EU868") as on:
        session = await activate(on, before)
        session.nb_trans = 0 if row["id"] == "adr-chmask" else 1
        extra = before.get("enabled_uplink_channels", ())[3:]
        channels = tuple(ExtraChannel(867_100_000 + 200_000 * n, 0, 5) for n in range(len(extra)))
        session.radio = on.network.state.radio(session.radio._replace(channels=channels))
        await hear(on, row["input"])
        await check_windows(on, row["expected"]["downlinks"])
        wanted = row["expected"].get("session_after", {}).get("enabled_uplink_channels")
        if wanted:
            plan = on.network.state.plan
            assert sorted(enabled_channels(plan, session.radio)) == wanted, "nothing changes before the answer"


@plays("adr-ans")
async def link_adr_answer(folder: Path, row: Row) -> None:
    async with world(folder, GATEWAY, region="EU868") as on:
        session = await activate(on, row["preconditions"])
        memory = memory_of(session)
        memory.asked(dr=0, tx_power=3, nb_trans=1)
        keep(session, memory)
        await hear(on, row["input"])
        assert await on.gateway.downlinks(refuse=True) == []
        after = row["expected"]["session_after"]
        assert (session.dr, session.tx_power, session.nb_trans) == (
            after["dr"],
            after["tx_power_index"],
            after["nb_trans"],
        )
        assert sorted(enabled_channels(on.network.state.plan, session.radio)) == after["enabled_uplink_channels"]


@plays("adr-backoff")
async def device_backs_off(folder: Path, row: Row) -> None:
    """The device has lowered its data rate by itself, so it has raised its power before (TS001-1.0.4 §4.3.1.1)."""
    async with world(folder, GATEWAY, region="EU868") as on:
        session = await activate(on, row["preconditions"])
        session.tx_power = 3
        memory = memory_of(session)
        memory.heard(9, 0, 5, 3.3, 3, False, 0)
        keep(session, memory)
        await hear(on, row["input"])
        await on.gateway.downlinks(refuse=True)
        after = row["expected"]["session_after"]
        assert (session.dr, session.tx_power) == (after["dr"], after["tx_power_index"])


@plays("mac10-resetind")
async def reset(folder: Path, row: Row) -> None:
    async with world(folder, GATEWAY, region="EU868") as on:
        session = await activate(on, {"session": "S11"})
        session.tx_power, session.nb_trans = 3, 2
        key = bytes.fromhex(S10["nwk_s_key"])
        node = Node(
            int(S10["dev_addr"], 16), SessionKeys(key, key, key, bytes.fromhex(S10["app_s_key"]), lorawan_1_1=True), 8
        )
        phy = node.up(b"", None, f_opts=bytes.fromhex(row["input"]["mac_up_hex"]), tx_dr=0, tx_ch=0)
        await on.gateway.hear(phy, TMST, freq=868.1, datr="SF12BW125", lsnr=0, rssi=0)
        (down,) = await on.gateway.downlinks(refuse=False, expect=1)
        assert node.read(down.phy).f_opts.hex() == row["expected"]["mac_down_hex"]
        after = row["expected"]["session_after"]
        assert (session.tx_power, session.nb_trans) == (after["tx_power_index"], after["nb_trans"])
        assert session.radio.channels == ()


# -------------------------------------------------------------------------------------------------------- multicast


async def group_of(on: World, told: Row, gateways: list[str]) -> m.GroupRecord:
    device = m.DeviceWrite(DEV_EUI, profile=await profile(on, "1.0.3", device_class="C"), activation="ABP")
    await on.client.devices_put(items=[device])
    group: m.GroupRecord = await on.client.group_put(
        name="scenario", mc_addr=told["mc_addr"], device_class=told["type"], dr=told["dr"], frequency_hz=told["freq_hz"],
        mc_nwk_s_key=told["mc_nwk_s_key"], mc_app_s_key=told["mc_app_s_key"], f_cnt_down=told["f_cnt"], gateways=gateways,
    )  # fmt: skip
    return await on.client.group_members_put(group=group.id, add=[DEV_EUI])  # type: ignore[no-any-return]


@plays("mc-c")
async def multicast(folder: Path, row: Row) -> None:
    async with world(folder, GATEWAY, region="EU868") as on:
        group = await group_of(on, row["preconditions"]["group"], [GATEWAY])
        (item,) = row["preconditions"]["queue"]
        data = bytes.fromhex(item["data_hex"])
        await on.client.group_queue_put(group=group.id, f_port=item["f_port"], data=data)
        down = await on.gateway.downlink(2)
        (wanted,) = row["expected"]["downlinks"]
        assert down is not None and down.txpk["imme"] and down.phy.hex() == wanted["phy_hex"]
        assert (round(down.txpk["freq"] * 1e6), down.txpk["datr"]) == (wanted["freq_hz"], f"SF{wanted['sf']}BW125")
        assert down.txpk["powe"] == wanted["power_eirp_dbm"]
        assert (await on.client.group(key=group.id)).f_cnt_down == row["expected"]["group_f_cnt_after"]


@plays("mc-expired")
async def multicast_expired(folder: Path, row: Row) -> None:
    """What has expired is not taken, nor is what no frame carries; an item whose time ends in the queue goes nowhere."""
    async with world(folder, GATEWAY, region="EU868") as on:
        await on.client.gateway_put(gateway_eui=ABSENT)
        group = await group_of(on, ROWS["mc-c"]["preconditions"]["group"], [ABSENT])
        (item,) = row["preconditions"]["queue"]
        put = {"group": group.id, "f_port": item["f_port"]}
        for data, expires_at_us, why in (
            (b"\1", on.network.started_us - 10_000_000, "past"),
            (bytes(300), None, "242"),
        ):
            with pytest.raises(ApiError, match=why):
                await on.client.group_queue_put(**put, data=data, expires_at_us=expires_at_us)
        soon_us = system_now().wall_us + 300_000
        await on.client.group_queue_put(**put, data=bytes.fromhex(item["data_hex"]), expires_at_us=soon_us)
        assert await on.gateway.downlink(0.5) is None
        await on.client.group_put(**_as_written(group), gateways=[GATEWAY])
        assert await on.gateway.downlink(0.5) is None
        (waiting,) = (await on.client.group_queue(key=group.id)).items
        assert waiting.state == "expired"


def _as_written(group: m.GroupRecord) -> dict[str, Any]:
    names = ("id", "name", "mc_addr", "device_class", "dr", "frequency_hz", "ping_periodicity")
    return {name: getattr(group, name) for name in names}
