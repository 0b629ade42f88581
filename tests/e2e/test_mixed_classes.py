"""An hour of classes A, B, C and multicast through two forwarders of both generations: not one downlink is refused.

Virtual time; the forwarders' just-in-time queues are the simulator's, made after jitqueue.c of both.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

from lorasim import checker

from tests.support.air_lab import AirLab

SCENARIO = """
name = "mixed"
seed = 4
[radio]
snr_db = 8
spread_db = 3
fading_db = 1
weaker_db = 2
[backhaul]
delay_ms = 40
jitter_ms = 30
[[gateways]]
eui = "0016c001ff1e5a01"
forwarder = "1302"
gps = true
beacons = true
keepalive_s = 10
stat_s = 30
[[gateways]]
eui = "0016c001ff1e5a02"
forwarder = "1301"
gps = true
beacons = true
keepalive_s = 10
stat_s = 30
[[devices]]
count = 15
dev_eui = "70b3d5fffe000100"
mac_version = "1.0.3"
interval_s = 120
join_spread_s = 60
confirmed = true
dr = 4
[[devices]]
count = 5
dev_eui = "70b3d5fffe000200"
mac_version = "1.0.4"
interval_s = 300
join_spread_s = 60
dr = 3
ping_periodicity = 3
ppm = 10
[[devices]]
count = 6
dev_eui = "70b3d5fffe000300"
mac_version = "1.0.2"
interval_s = 300
join_spread_s = 60
dr = 4
class_c = true
"""


def test_no_downlink_is_refused_in_an_hour_of_mixed_classes(tmp_path: Path) -> None:
    rng = random.Random(9)
    lab = AirLab(tmp_path, SCENARIO)
    lab.profile("1.0.4", device_class="B")
    lab.profile("1.0.2", device_class="C")
    lab.switch_on()
    lab.run(900)
    devices = {f"{eui:016x}": device for eui, device in lab.world.devices.items()}
    listening = [eui for eui, device in devices.items() if device.class_c is not None]
    keys = {"mc_nwk_s_key": "07" * 16, "mc_app_s_key": "08" * 16}
    values = {"name": "all", "mc_addr": "00abcdef", "dr": 3, "frequency_hz": 868_900_000, **keys}
    group = str(lab.call("group_put", **values).id)
    lab.call("group_members_put", group=group, add=listening)
    ids = []
    for minute in range(60):
        ids += [
            lab.queue(eui, rng.randbytes(rng.randrange(1, 20)), confirmed=rng.random() < 0.2)
            for eui in rng.sample(sorted(devices), 4)
        ]
        if minute % 5 == 0:
            lab.call("group_queue_put", group=group, f_port=5, data=bytes((minute,)))
        lab.run(60)
    lab.run(900)
    outcomes = Counter(line["outcome"].get("error") or "NONE" for line in lab.lines("tx_ack"))
    assert set(outcomes) == {"NONE"}, outcomes
    assert outcomes["NONE"] > 500
    lines = list(checker.read(lab.recording))
    # Beacons and the group's frames are sent by several gateways, and no device of the air has the group's keys.
    known = [one for one in checker.check(lines) if not one.text.startswith(("0000", "60efcdab00"))]
    assert [one for one in known if "00abcdef" not in one.text] == []
    states = Counter(lab.item(id).state for id in rng.sample(ids, 60))
    assert states["sent"] + states["acked"] >= 57, states
    assert {item.state for item in lab.call("group_queue", key=group).items} == {"sent"}
    windows = Counter(line["window"] for line in lab.lines("downlink"))
    assert all(windows[window] > 10 for window in ("RX1", "RXC", "ping slot")), windows
