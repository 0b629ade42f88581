"""Radio parameters in profiles: only what devices of the region and version can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from internalapi.messages import ChannelWrite
from lns.api.errors import Refused
from tests.support.lab import Lab


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("rx1_dr_offset", 6, "0 to 5"),
        ("rx2_dr", 15, "RU864"),
        ("rx2_frequency_hz", 868_900_050, "100 Hz"),
        ("rx2_frequency_hz", 905_000_000, "868.7-869.2"),
        ("max_duty_cycle", 16, "0 to 15"),
        ("uplink_dwell_time", True, "TxParamSetupReq"),
        ("max_eirp_dbm", 14, "TxParamSetupReq"),
        ("adr_ack_limit_exp", 5, "1.1"),
        ("rejoin_time_n", 5, "1.1"),
        ("ping_slot_dr", 15, "one of"),
        ("beacon_frequency_hz", 1_000_000, "RU864"),
        ("channels", [ChannelWrite(868_900_000)], "default channel"),
        ("channels", [ChannelWrite(864_100_000), ChannelWrite(864_100_000)], "twice"),
        ("channels", [ChannelWrite(864_100_000, 4, 2)], "DR4 to DR2"),
        ("channels", [ChannelWrite(864_100_000, downlink_frequency_hz=5)], "RU864"),
        ("channels", [ChannelWrite(864_100_000 + 100_000 * n) for n in range(15)], "holds 14"),
    ],
)
def test_refused(lab: Lab, field: str, value: Any, says: str) -> None:
    with pytest.raises(Refused) as refused:
        lab.call("profile_put", name="mine", **{field: value})
    assert refused.value.problem.field == field
    assert refused.value.problem.detail.startswith(f"{field}:") and says in refused.value.problem.detail


def test_refused_by_region_and_version(tmp_path: Path) -> None:
    lab = Lab(tmp_path, region="US915")
    with pytest.raises(Refused, match="from the start"):
        lab.call("profile_put", name="mine", region="US915", channels=[ChannelWrite(902_300_000)])
    lab.close()
    (tmp_path / "as").mkdir()
    lab = Lab(tmp_path / "as", region="AS923-1")
    lab.call(
        "profile_put", name="mine", region="AS923-1", uplink_dwell_time=True, downlink_dwell_time=False, max_eirp_dbm=14
    )
    with pytest.raises(Refused, match="one of 8, 10"):
        lab.call("profile_put", name="mine", region="AS923-1", max_eirp_dbm=15)
    with pytest.raises(Refused, match=r"before LoRaWAN 1\.0\.2"):
        channel = ChannelWrite(922_000_000, downlink_frequency_hz=923_200_000)
        lab.call("profile_put", name="mine", region="AS923-1", mac_version="1.0.1", channels=[channel])
    lab.close()


def test_kept_over_a_restart_and_shown(lab: Lab) -> None:
    values = {
        "rx1_dr_offset": 1, "rx2_dr": 3, "rx2_frequency_hz": 868_900_000, "max_duty_cycle": 2, "adr_ack_limit_exp": 5,
        "adr_ack_delay_exp": 4, "rejoin_time_n": 3, "rejoin_count_n": 2, "ping_slot_frequency_hz": 868_900_000,
        "ping_slot_dr": 3, "beacon_frequency_hz": 869_100_000,
        "channels": [ChannelWrite(864_100_000, 0, 5, 869_100_000), ChannelWrite(864_300_000)],
    }  # fmt: skip
    lab.call("profile_put", name="mine", mac_version="1.1.0", **values)
    lab.kill()
    (record,) = [one for one in lab.call("profiles").items if one.name == "mine"]
    assert {name: getattr(record, name) for name in values} == values
    node = lab.abp(mac_version="1.1.0", profile="mine")
    report = lab.call("session", key=node.dev_eui).mac
    assert report.state == "to_ask" and "RXParamSetupReq" in report.text
    assert (report.desired.rx2_dr, report.current.rx2_dr) == (3, 0)
    assert (report.desired.adr_ack_limit, report.desired.rejoin_time_s) == (32, 8192)
    assert [one.downlink_frequency_hz for one in report.desired.channels[2:]] == [869_100_000, 864_300_000]


def test_a_changed_profile_reaches_its_devices(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp(profile=lab.profile("1.0.3"))
    assert lab.uplink(node.up()) == []
    lab.profile("1.0.3", rx1_delay_s=2)
    (sent,) = lab.uplink(node.up())
    assert node.read(sent.phy).f_opts == b"\x08\x02"
