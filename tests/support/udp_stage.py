"""What the scenarios of tests/vectors/lns_scenarios.json need on a stage of real sockets: devices, frames, comparisons."""

from __future__ import annotations

from typing import Any

from internalapi import messages as m
from tests.support.udp_world import DATR, Down, World
from tests.support.vectors import Row, load

S10 = load("lns_scenarios.json")["meta"]["sessions"]["S10"]
DEV_EUI, GATEWAY = S10["dev_eui"], S10["gateway"]
TMST = 10_000_000


async def profile(on: World, mac_version: str, **fields: Any) -> str:
    values = {"region": "EU868", "dev_status_interval_s": 0, "adr": "recommended"} | fields
    await on.client.profile_put(name="scenario", mac_version=mac_version, **values)
    return "scenario"


async def activate(on: World, before: Row, *, tags: dict[str, str] | None = None, **fields: Any) -> Any:
    """The device with session S10 or S11, and its queue, as the scenario wants them. Returns the session."""
    lorawan_1_1 = before["session"].startswith("S11")
    name = await profile(on, "1.1.0" if lorawan_1_1 else "1.0.3", **fields)
    device = m.DeviceWrite(
        DEV_EUI, profile=name, activation="ABP", disabled=bool(before.get("is_disabled")), tags=tags or {}
    )
    await on.client.devices_put(items=[device])
    names = ("f_nwk_s_int_key", "s_nwk_s_int_key", "nwk_s_enc_key") if lorawan_1_1 else ("nwk_s_key",)
    await on.client.session_put(
        dev_eui=DEV_EUI,
        dev_addr=S10["dev_addr"],
        app_s_key=S10["app_s_key"],
        f_cnt_up=before.get("fcnt_up_next", S10["fcnt_up_next"]),
        f_cnt_down=before.get("n_f_cnt_down", S10["fcnt_down_next"]),
        a_f_cnt_down=before.get("a_f_cnt_down", 0),
        **dict.fromkeys(names, S10["nwk_s_key"]),
    )
    session = on.session(DEV_EUI)
    session.radio = on.network.state.radio(session.radio._replace(rx1_delay_s=before.get("rx1_delay", 1)))
    await enqueue(on, before)
    return session


async def enqueue(on: World, before: Row) -> None:
    for item in before.get("queue", ()):
        await on.client.queue_put(
            dev_eui=DEV_EUI, f_port=item["f_port"], data=bytes.fromhex(item["data_hex"]),
            confirmed=item.get("confirmed", False), encrypted_f_cnt=item.get("f_cnt_down"),
        )  # fmt: skip


async def hear(on: World, given: Row, tmst: int = TMST) -> None:
    rf = given["rf"]
    (heard,) = rf["rx"]
    radio = {"modu": "LR-FHSS", "datr": "M0CW336", "codr": "2/6"} if rf["dr"] == 10 else {"datr": DATR[rf["dr"]]}
    phy = bytes.fromhex(given["phy_hex"])
    await on.gateway.hear(phy, tmst, freq=rf["freq_hz"] / 1e6, lsnr=heard["snr"], rssi=heard["rssi"], **radio)


def check_window(down: Down, wanted: Row, tmst: int = TMST) -> None:
    assert down.phy.hex() == wanted["phy_hex"]
    assert down.txpk["tmst"] - tmst == wanted["delay_s"] * 1_000_000
    assert round(down.txpk["freq"] * 1e6) == wanted["freq_hz"]
    assert down.txpk["datr"] == f"SF{wanted['sf']}BW{wanted['bw_hz'] // 1000}"
    assert down.txpk["powe"] == min(16, wanted["power_eirp_dbm"])


async def check_windows(on: World, wanted: list[Row]) -> None:
    """RX1 byte by byte, and RX2 after RX1 was refused: a UDP forwarder would send both if it were given both."""
    found = await on.gateway.downlinks(refuse=True, expect=len(wanted))
    assert len(found) == len(wanted), [down.txpk for down in found]
    for down, window in zip(found, wanted, strict=True):
        check_window(down, window)


async def check_event(on: World, wanted: Row) -> None:
    (event,) = await on.events_when(1)
    known = {name: wanted[name] for name in ("f_cnt", "f_port", "dr", "confirmed", "adr", "dev_addr") if name in wanted}
    assert {name: getattr(event, name) for name in known} == known
    assert event.data.hex() == wanted.get("data_hex", event.data.hex())


async def check_counters(on: World, expected: Row) -> None:
    session = on.session(DEV_EUI)
    if "next_fcnt_up" in expected:
        assert session.f_cnt_up == expected["next_fcnt_up"]
    if "next_n_f_cnt_down" in expected:
        assert session.n_f_cnt_down == expected["next_n_f_cnt_down"]
