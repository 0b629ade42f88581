"""The ``udp`` rows of tests/vectors/lns_scenarios.json (ChirpStack gateway bridge) over a real socket.

A row that speaks of the bridge's own messages is read for what the network server does with the same datagram. The bridge
drops a frame with a broken CRC, as we do, and gives each antenna a record of its own: so do we.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from appserver.integrations import chirpstack
from internalapi import messages as m
from internalapi.client import NetworkClient
from lns.clock import system_now
from lns.gateways.frames import AfterUplink, AtGpsTime, Immediately, RxFrame, TxFrame
from lns.network import Network
from tests.support.live_network import server
from tests.support.node import Node, keys_1_0
from tests.support.vectors import Row, load

ROWS: dict[str, Row] = {row["id"]: row for row in load("lns_scenarios.json")["udp"]}
EUI = "0102030405060708"
TOKEN = b"\x39\x30"
Play: TypeAlias = Callable[["Stage", Row], Awaitable[None]]
PLAYS: dict[str, Play] = {}


def plays(*ids: str) -> Callable[[Play], Play]:
    def register(play: Play) -> Play:
        for id in ids:
            assert id in ROWS and id not in PLAYS, id
            PLAYS[id] = play
        return play

    return register


@pytest.mark.parametrize("id", list(ROWS))
async def test_row(tmp_path: Path, id: str) -> None:
    async with stage(tmp_path, region="EU868") as on:
        await PLAYS[id](on, ROWS[id])


class Stage:
    """A running server, a gateway's socket, and a device."""

    def __init__(self, network: Network, client: NetworkClient, node: Node) -> None:
        self.network, self.client, self.node = network, client, node
        host, _, port = network.settings.gateways.udp.listen.rpartition(":")
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.connect((host, int(port)))
        network.engine.gwmp._token = lambda: TOKEN

    async def answer(self, timeout_s: float = 5.0) -> bytes | None:
        """The next datagram of the server, None when none comes."""
        try:
            return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.socket, 65_536), timeout_s)
        except TimeoutError:
            return None

    async def ask(self, datagram: bytes) -> bytes | None:
        self.socket.send(datagram)
        return await self.answer()

    async def pull(self, eui: str = EUI) -> None:
        assert await self.ask(b"\x02\x00\x07\x02" + bytes.fromhex(eui)) == b"\x02\x00\x07\x04"

    async def push(self, body: Row, token: bytes = b"\x00\x01") -> None:
        datagram = b"\x02" + token + b"\x00" + bytes.fromhex(EUI) + json.dumps(body).encode()
        assert await self.ask(datagram) == b"\x02" + token + b"\x01"

    async def heard(self, row: Row) -> m.Event | None:
        """The row's rxpk with a frame of our device in it: an event, if the gateway's word is good."""
        (entry,) = row["send"]["json"]["rxpk"]
        phy = self.node.up(b"\x01")
        before = len((await self.client.events()).events)
        data = {"data": base64.b64encode(phy).decode(), "size": len(phy)}
        await self.push(row["send"]["json"] | {"rxpk": [entry | data]})
        await asyncio.sleep(0.3)
        found = [event for event in (await self.client.events()).events[before:] if event.type == "up"]
        return found[0] if found else None

    async def downlink(self, phy: bytes, timing: Any, datr: str | int, board: int | None, antenna: int | None) -> Row:
        """The txpk that a forwarder is sent."""
        await self.pull()
        frame = TxFrame(phy, 868_100_000, datr, 14.0, timing, 0, antenna, board)
        assert self.network.engine.gwmp.transmit(self.gateway, [frame], None, system_now())
        datagram = await self.answer()
        assert datagram is not None and datagram[:4] == b"\x02" + TOKEN + b"\x03"
        return json.loads(datagram[4:])["txpk"]  # type: ignore[no-any-return]

    @property
    def gateway(self) -> Any:
        return self.network.state.gateways.get(int(EUI, 16))

    async def confirmed_uplink(self, tmst: int = 1_000_000) -> Row:
        """A frame that wants an answer; the PULL_RESP for RX1."""
        await self.pull()
        entry = {"tmst": tmst, "freq": 868.1, "stat": 1, "modu": "LORA", "datr": "SF7BW125", "codr": "4/5", "lsnr": 7}
        await self.push({"rxpk": [entry | {"data": base64.b64encode(self.node.up(confirmed=True)).decode()}]})
        return await self.pull_resp()

    async def pull_resp(self) -> Row:
        datagram = await self.answer()
        assert datagram is not None and datagram[:4] == b"\x02" + TOKEN + b"\x03"
        return json.loads(datagram[4:])["txpk"]  # type: ignore[no-any-return]

    async def outcome(self) -> str:
        """What became of the newest downlink."""
        await asyncio.sleep(0.1)
        (newest, *_) = [frame for frame in (await self.client.frames()).items if frame.type == "down"]
        return str(newest.outcome)


@asynccontextmanager
async def stage(folder: Path, **settings: Any) -> AsyncIterator[Stage]:
    keys = keys_1_0(1)
    async with server(folder, **settings) as (network, client, _):
        await client.gateway_put(gateway_eui=EUI)
        await client.profile_put(name="quiet", region="EU868", mac_version="1.0.3", dev_status_interval_s=0, adr="off")
        write = m.DeviceWrite("0000000000a00001", profile="quiet", activation="ABP")
        await client.devices_put(items=[write])
        await client.session_put(
            dev_eui=write.dev_eui,
            dev_addr="01000001",
            app_s_key=keys.app_s_key.hex(),
            nwk_s_key=keys.nwk_s_enc_key.hex(),
        )
        on = Stage(network, client, Node(0x01000001, keys, 0, write.dev_eui))
        try:
            yield on
        finally:
            on.socket.close()


# --------------------------------------------------------------------------------------------------------- going up


@plays("pull-data", "pull-data-123")
async def _pull_data(on: Stage, row: Row) -> None:
    assert await on.ask(bytes.fromhex(row["send"]["hex"])) == bytes.fromhex(row["expect"]["hex"])
    assert on.gateway.pull_address == on.socket.getsockname()


@plays("push-data-rxpk", "push-data-stat", "push-data-stat-noloc")
async def _push_data(on: Stage, row: Row) -> None:
    taken: list[RxFrame] = []
    uplink = on.network.engine.uplink

    def take(rx: RxFrame, now: Any) -> None:
        taken.append(rx)
        uplink(rx, now)

    on.network.engine.uplink = take  # type: ignore[method-assign]
    datagram = bytes.fromhex(row["send"]["header_hex"]) + json.dumps(row["send"]["json"]).encode()
    expected = row["expect"]
    assert await on.ask(datagram) == bytes.fromhex(expected["push_ack_hex"])
    if wanted := expected.get("uplink"):
        (rx,) = taken
        assert (rx.gateway.eui_text, rx.phy.hex(), rx.frequency_hz) == (
            wanted["gateway"], wanted["phy_hex"], wanted["freq_hz"],
        )  # fmt: skip
        assert rx.datr == f"SF{wanted['sf']}BW{wanted['bw_hz'] // 1000}"
        assert (rx.rssi_dbm, rx.snr_db, rx.channel, rx.rf_chain) == tuple(
            wanted[name] for name in ("rssi", "snr", "channel", "rf_chain")
        )
        assert rx.tmst == 708_016_819 and rx.gps_us == wanted["gps_time_s"] * 1e6
    if wanted := expected.get("stats"):
        record = await on.client.gateway(key=EUI)
        assert (record.latitude, record.longitude, record.altitude_m) == tuple(wanted["location"] or (None,) * 3)
        names = {"rx_received": "rxnb", "rx_received_ok": "rxok", "tx_received": "dwnb", "tx_emitted": "txnb"}
        assert all(record.stat[name] == wanted[key] for key, name in names.items() if key in wanted)


@plays("push-badcrc", "push-gps", "push-rsig", "push-ftime", "push-meta", "push-rxpk+stat")
async def _uplink(on: Stage, row: Row) -> None:
    # The rows say SF12BW500, which is no data rate of any region's uplink plan: the device sends another.
    (entry,) = row["send"]["json"]["rxpk"]
    entry = entry | {"datr": "SF12BW125"}
    event = await on.heard({"send": {"json": row["send"]["json"] | {"rxpk": [entry]}}})
    expected = row["expect"]
    if expected.get("uplinks") == 0:
        assert event is None and (await on.client.gateway(key=EUI)).bad_crc == 1
        return
    assert event is not None
    receptions = sorted(event.receptions, key=lambda reception: reception.antenna or 0)
    assert len(receptions) == expected.get("uplinks", 1)
    told = chirpstack.body(event)["rxInfo"]
    for key, name in (("rssi", "rssi_dbm"), ("snr", "snr_db"), ("antenna", "antenna"), ("channel", "channel")):
        wanted = expected.get(key)
        if wanted is not None:
            found = [getattr(reception, name) for reception in receptions]
            assert found == (wanted if isinstance(wanted, list) else [wanted])
    if "gps_time_s" in expected:
        assert receptions[0].gps_us == expected["gps_time_s"] * 1e6
        assert told[0]["timeSinceGpsEpoch"] == "600s"
    if "fine_gps_time_s" in expected:
        assert told[0]["fineTimeSinceGpsEpoch"] == f"{expected['fine_gps_time_s']}s"
    if "metadata" in expected:
        assert receptions[0].metadata == expected["metadata"]
        assert told[0]["metadata"].items() >= expected["metadata"].items()
    if "location" in expected:
        record = await on.client.gateway(key=EUI)
        assert [record.latitude, record.longitude, record.altitude_m] == expected["location"]
        assert record.location_source == "gps"


@plays("push-lrfhss")
async def _lr_fhss(on: Stage, row: Row) -> None:
    event = await on.heard(row)
    assert event is not None and event.datr == "M0CW137"
    (reception,) = event.receptions
    assert reception.rssi_dbm == row["expect"]["rssi"]
    assert chirpstack.modulation(event.datr)["lrFhss"]["operatingChannelWidth"] == row["expect"]["ocw_hz"]


# ------------------------------------------------------------------------------------------------------- going down


@plays("resp-delay-lora", "resp-delay-fsk", "resp-imme", "resp-gps")
async def _pull_resp(on: Stage, row: Row) -> None:
    asked, expected = row["send"]["downlink"], row["expect"]["pull_resp_json"]["txpk"]
    timing: Any
    if asked.get("immediately"):
        timing = Immediately()
    elif "gps_epoch_s" in asked:
        timing = AtGpsTime(asked["gps_epoch_s"] * 1_000_000)
    else:
        now = system_now()
        rx = RxFrame(on.gateway, b"\0", 868_100_000, "SF7BW125", -50, 7, asked["context_tmst"], *now)
        timing = AfterUplink(rx, asked["delay_s"] * 1_000_000)
    phy = bytes.fromhex(asked.get("phy_hex", "01020304"))
    txpk = await on.downlink(phy, timing, expected["datr"], expected["brd"], expected["ant"])
    assert txpk.items() >= expected.items()
    if field := row["expect"].get("no_field"):
        assert field not in txpk
    assert ("imme" in expected) == txpk["imme"]


@plays("resp-header")
async def _header(on: Stage, row: Row) -> None:
    on.network.engine.gwmp._token = lambda: b"\x7b\x00"
    await on.pull()
    frame = TxFrame(b"\1\2\3\4", 868_100_000, "SF12BW125", 14.0, Immediately())
    assert on.network.engine.gwmp.transmit(on.gateway, [frame], None, system_now())
    datagram = await on.answer()
    assert datagram is not None and datagram[:5] == bytes.fromhex(row["expect"]["hex_prefix"]) + b"{"


@plays("resp-unknown-gw")
async def _unknown_gateway(on: Stage, row: Row) -> None:
    frame = TxFrame(b"\1\2\3\4", 868_100_000, "SF12BW125", 14.0, Immediately())
    assert on.network.engine.gwmp.transmit(on.gateway, [frame], None, system_now()) is False
    assert await on.answer(0.2) is None


# ----------------------------------------------------------------------------------------------------------- TX_ACK


@plays("txack-ok", "txack-ok-zero", "txack-none", "txack-empty")
async def _taken(on: Stage, row: Row) -> None:
    await on.confirmed_uplink()
    on.socket.send(bytes.fromhex(row["send"]["hex"]))
    assert await on.outcome() == "sent"
    assert (await on.client.gateway(key=EUI)).tx_outcomes == {"NONE": 1}


@plays("txack-error")
async def _refused(on: Stage, row: Row) -> None:
    """The bridge has one item and tells TX_FREQ; we have RX2 and tell it when that is refused, too."""
    for _ in range(2):
        await (on.confirmed_uplink() if not on.gateway.tx_outcomes else on.pull_resp())
        on.socket.send(bytes.fromhex(row["send"]["hex"]))
        await asyncio.sleep(0.05)
    assert (await on.outcome()).count(row["expect"]["status"]) == 2
    assert (await on.client.gateway(key=EUI)).tx_outcomes == {"TX_FREQ": 2}


def tx_ack(error: str = "") -> bytes:
    body = json.dumps({"txpk_ack": {"error": error}}).encode() if error else b""
    return b"\x02" + TOKEN + b"\x05" + bytes.fromhex(EUI) + body


@plays("txack-retry-ok")
async def _second_window(on: Stage, row: Row) -> None:
    first = await on.confirmed_uplink()
    on.socket.send(tx_ack("TX_FREQ"))
    second = await on.pull_resp()
    assert (first["tmst"], second["tmst"]) == (2_000_000, 3_000_000)
    assert first["data"] == second["data"], "with us both windows carry the same bytes"
    on.socket.send(tx_ack())
    assert await on.outcome() == "sent"
    assert list((await on.client.gateway(key=EUI)).tx_outcomes) == ["TX_FREQ", "NONE"]


@plays("txack-retry-fail")
async def _both_refused(on: Stage, row: Row) -> None:
    await on.confirmed_uplink()
    for status in row["expect"]["statuses"]:
        on.socket.send(tx_ack(status))
        if status == row["expect"]["statuses"][0]:
            await on.pull_resp()
    outcome = await on.outcome()
    assert outcome.startswith("failed") and all(status in outcome for status in row["expect"]["statuses"])


@plays("txack-first-ok")
async def _first_is_enough(on: Stage, row: Row) -> None:
    await on.confirmed_uplink()
    on.socket.send(tx_ack())
    assert await on.outcome() == "sent"
    assert await on.answer(0.3) is None, "the second window is not used"


@plays("txack-beacon")
async def _beacon_in_the_way(on: Stage, row: Row) -> None:
    datagram = bytes.fromhex(row["send"]["hex"])
    eui = datagram[4:12].hex()
    await on.client.gateway_put(gateway_eui=eui)
    on.network.engine.gwmp._token = lambda: datagram[1:3]
    await on.pull(eui)
    gateway = on.network.state.gateways.get(int(eui, 16))
    assert gateway is not None
    done: list[str] = []
    on.network.engine.tx_done = lambda what, error, warning, now, chosen=0: done.append(error)  # type: ignore[method-assign]
    frame = TxFrame(b"\1\2\3\4", 868_100_000, "SF12BW125", 14.0, Immediately())
    assert on.network.engine.gwmp.transmit(gateway, [frame], object(), system_now())
    assert await on.answer() is not None
    on.socket.send(datagram)
    await asyncio.sleep(0.1)
    assert done == [row["expect"]["status"]]
