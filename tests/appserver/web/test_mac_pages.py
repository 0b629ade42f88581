"""The device's page says whether device and network agree on the radio parameters."""

from __future__ import annotations

import msgspec
import pytest

from internalapi.mac import MacParameters, MacRefusal, MacReport, MacRequest
from tests.support.console import Console
from tests.support.pages import fill

PARAMETERS = MacParameters(
    1, 0, 0, 869_100_000, [], 0, False, False, 16.0, 64, 32, None, None, 0, None, None, 0
)  # fmt: skip
WAITING = MacRequest("RXParamSetupReq", "RXParamSetupAns", "RXParamSetupReq: set RX2", 2)
REFUSAL = MacRefusal("NewChannelReq", ["data rate range"], "NewChannelReq: set channel 2", 3, 1_900_000_000_000_000)


@pytest.mark.parametrize(
    ("report", "english", "russian"),
    [
        (MacReport("in_step", "", PARAMETERS, PARAMETERS, [], [], []), "in step", "согласован"),
        (
            MacReport("waiting", "", PARAMETERS, PARAMETERS, [WAITING, WAITING], [], []),
            "waits for RXParamSetupAns</dd>",
            "ждём RXParamSetupAns</dd>",
        ),
        (
            MacReport("to_ask", "", PARAMETERS, PARAMETERS, [], ["DutyCycleReq: limit"], []),
            "DutyCycleReq: limit",
            "есть что запросить",
        ),
        (
            MacReport("refused", "", PARAMETERS, PARAMETERS, [], [], [REFUSAL]),
            "refused 3 times: NewChannelReq: set channel 2 (data rate range)",
            "отказов подряд: 3",
        ),
    ],
    ids=["in step", "waiting", "to ask", "refused"],
)
async def test_the_mac_line(console: Console, report: MacReport, english: str, russian: str) -> None:
    pages = await fill(console)
    await console.sign_in()
    (dev_eui,) = [key for key in console.network.session_table if key in pages["device"]]
    record = console.network.session_table[dev_eui]
    console.network.session_table[dev_eui] = msgspec.structs.replace(record, mac=report)
    for language, words in (("en", english), ("ru", russian)):
        await console.post("/language", language=language, back="/")
        assert words in (await console.ask("GET", pages["device"])).text
    shown = (await console.api("GET", f"/devices/{dev_eui}/session")).json["mac"]
    assert shown["state"] == report.state and shown["current"]["rx2_frequency_hz"] == 869_100_000
    assert [one["count"] for one in shown["refusals"]] == [one.count for one in report.refusals]
