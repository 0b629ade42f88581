"""Device clocks over HTTP."""

from __future__ import annotations

from tests.support.console import Console

EUI = "4b41524154000001"


async def test_fr_02_a_clock_is_shown_and_corrected_on_demand(console: Console) -> None:
    db, now = console.services.database, console.clock.us
    shown = await console.api("GET", f"/devices/{EUI}/clock", role="viewer")
    assert shown.json == {"offset_s": None, "seen_at": None, "corrections": []}
    refused = await console.api("POST", f"/devices/{EUI}/clock", role="engineer")
    assert refused.status == 409 and "not known" in refused.text
    with db.transaction() as connection:
        connection.execute(
            "INSERT INTO device_state (dev_eui, clock_zone, commissioned_at_us, flags, clock_offset_us, clock_seen_at_us)"
            " VALUES (?, '', 0, '', 700000000, ?)",
            (EUI, now),
        )
        connection.execute(
            "INSERT INTO uplink (event_id, frame_id, dev_eui, session_id, f_cnt, f_port, data, received_at_us, codec, state,"
            " reason) VALUES (1, 1, ?, 1, 1, 7, x'00', ?, 'karat@2', 'decoded', '')",
            (EUI, now),
        )
    assert (await console.api("POST", f"/devices/{EUI}/clock", role="viewer")).status == 403
    made = await console.api("POST", f"/devices/{EUI}/clock", role="engineer")
    assert made.status == 202, made.text
    (step,) = made.json["corrections"]
    assert (step["offset_s"], step["delta_s"], step["state"], step["author"]) == (
        700.0,
        -700,
        "planned",
        "token:engineer",
    )
    assert step["rule"].startswith("clock_correction")
    assert db.rows("SELECT f_port, hex(data) FROM clock_correction") == [(7, "160044FD")]
    assert (await console.api("POST", f"/devices/{EUI}/clock", role="engineer")).status == 409
    assert "clock.correct" in (await console.api("GET", "/audit")).text
