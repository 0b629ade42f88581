"""Devices and sessions are read from the journal when they are first needed, and nobody notices."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from internalapi import messages as m
from lns.session import SessionTable
from tests.support.lab import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    yield made
    made.close()


def loaded(lab: Lab) -> set[str]:
    return {device.dev_eui_text for device in lab.state.devices.loaded()}


def test_a_start_reads_no_device_and_a_frame_reads_its_own(lab: Lab) -> None:
    lab.gateway()
    nodes = [lab.abp(number) for number in range(1, 6)]
    for node in nodes:
        lab.uplink(node.up(b"\x01"))
    lab.kill()
    assert loaded(lab) == set() and (len(lab.state.devices), len(lab.state.sessions)) == (5, 5)
    lab.uplink(nodes[2].up(b"\x02"))
    assert loaded(lab) == {nodes[2].dev_eui}
    assert lab.ups()[-1] == (1, b"\x02") and lab.session(nodes[2]).f_cnt_up == 2
    assert lab.session(nodes[4]).f_cnt_up == 1 and len(loaded(lab)) == 2
    assert (len(lab.state.devices), len(lab.state.sessions)) == (5, 5)


def test_devices_with_one_dev_addr_are_all_asked_whichever_is_in_memory(lab: Lab) -> None:
    lab.gateway()
    nodes = [lab.abp(number, dev_addr=0x01020304) for number in range(1, 5)]
    lab.kill()
    assert lab.session(nodes[1]) is lab.session(nodes[1])  # read by its DevEUI first
    for number, node in enumerate(nodes):
        lab.uplink(node.up(bytes((number,))))
    assert lab.ups() == [(0, bytes((number,))) for number in range(4)]
    assert len(lab.state.sessions.get(0x01020304)) == 4 and len(lab.state.sessions) == 4


def test_a_foreign_dev_addr_reads_nothing(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp(1)
    lab.kill()
    node.dev_addr = 0x01FFFFFF
    lab.uplink(node.up(b"\x01"))
    assert loaded(lab) == set() and lab.counters["unknown_dev_addr"] == 1


def test_a_deleted_device_does_not_come_back_before_its_deletion_is_durable(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp(1)
    lab.kill()
    device = lab.state.devices[int(node.dev_eui, 16)]
    lab.disk_full = True
    lab.call("device_delete", key=node.dev_eui)
    assert device.dev_eui not in lab.state.devices and lab.state.devices_by_id.get(device.id) is None
    assert len(lab.state.devices) == 0 and len(lab.state.sessions) == 0
    lab.uplink(node.up(b"\x01"))
    assert lab.counters["unknown_dev_addr"] == 1
    lab.disk_full = False
    lab.pump()
    lab.kill()
    assert device.dev_eui not in lab.state.devices
    assert int(lab.device(node.dev_eui, activation="ABP"), 16) in lab.state.devices


def test_items_that_wait_are_in_memory_from_the_start(lab: Lab) -> None:
    lab.gateway()
    nodes = [lab.abp(number) for number in range(1, 4)]
    lab.queue(nodes[1].dev_eui, b"\x05")
    lab.kill()
    assert loaded(lab) == {nodes[1].dev_eui}
    (sent,) = lab.uplink(nodes[1].up(b"\x01"))
    assert nodes[1].read(sent.phy).data == b"\x05"


def test_lists_and_searches_see_all_devices(lab: Lab) -> None:
    for number, name in enumerate(["Счётчик в подвале", "Кухня", "basement METER", ""], 1):
        lab.call("devices_put", items=[m.DeviceWrite(lab.device(number, activation="ABP"), name=name)])
    lab.kill()

    def found(**fields: object) -> list[str]:
        return [device.dev_eui for device in lab.call("devices", **fields).items]

    assert found() == [f"{number:016x}" for number in range(1, 5)]
    assert found(q="ПОДВАЛ") == [f"{1:016x}"] and found(q="meter") == [f"{3:016x}"]
    assert found(q="0004") == [f"{4:016x}"] and found(q="no") == []
    first = lab.call("devices", limit=3)
    assert first.next_cursor == f"{3:016x}" and found(cursor=first.next_cursor) == [f"{4:016x}"]
    assert found(dev_euis=[f"{2:016x}", f"{9:016x}"]) == [f"{2:016x}"]
    assert len(list(lab.state.devices.values())) == 4


def test_the_table_counts_what_it_has_not_read() -> None:
    table = SessionTable()
    asked: list[int] = []
    table.load = asked.append
    table.know_stored([(1, 10), (1, 11), (2, 12), (1, 10)])
    assert len(table) == 4 and table.get(7) == () and asked == []
    assert table.get(1) == () and sorted(asked) == [10, 11]
    assert table.get(1) == () and len(asked) == 2, "what the store does not have is asked for once"
