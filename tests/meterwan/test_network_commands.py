"""Commands that speak to a running network process: gateways, devices, profiles."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import openpyxl
import pytest

from tests.support.program import WITHIN_S, Program, wait_for

KEY = "00112233445566778899aabbccddeeff"
EUI = "70b3d5e75f0000a1"


def listed(program: Program, *arguments: str) -> list[dict[str, object]]:
    result = program.run(*arguments, "--json")
    assert result.code == 0, result.err
    return list(json.loads(result.out))


def test_a_gateway_is_added_changed_listed_shown_and_removed(network: Program) -> None:
    eui = "0016c001ff1e5a01"
    add = ("gateway", "add", eui, "--name", "Крыша", "--latitude", "55.04", "--antenna-gain", "5")
    assert network.run(*add).out == f"gateway {eui}: added\n"
    assert network.run(*add).out == f"gateway {eui}: as it was\n"
    assert network.run("gateway", "add", eui, "--name", "Roof").out == f"gateway {eui}: changed\n"
    assert [row["name"] for row in listed(network, "gateway", "list")] == ["Roof"]
    assert listed(network, "gateway", "list", "--q", "nothing like it") == []
    shown = json.loads(network.run("gateway", "show", eui, "--json").out)
    assert shown["gateway_eui"] == eui and len(shown["sub_bands"]) == 3
    assert network.run("gateway", "remove", eui).code == 0
    gone = network.run("gateway", "show", eui)
    assert (gone.code, gone.out) == (1, "") and eui in gone.err and gone.err.count("\n") == 1


def test_a_multicast_group_is_made_shown_sent_to_and_removed(network: Program) -> None:
    keys = {"MC_NWK_S_KEY": KEY, "MC_APP_S_KEY": KEY[::-1]}
    add = ("multicast", "add", "Подъезд", "--mc-addr", "01020304", "--frequency", "869.1", "--dr", "3")
    made = network.run(*add, **keys)
    assert made.code == 0 and made.out.startswith("group Подъезд: added, "), made.err
    assert network.run(*add, **keys).code == 1, "the address is taken"
    (row,) = listed(network, "multicast", "list")
    assert (row["mc_addr"], row["members"]) == ("01020304", 0)
    shown = network.run("multicast", "show", "Подъезд", "--json")
    assert json.loads(shown.out)["frequency_hz"] == 869_100_000
    assert KEY not in shown.out
    refused = network.run("multicast", "send", "Подъезд", "0102")
    assert refused.code == 1 and "neither members nor chosen gateways" in refused.err
    assert network.run("multicast", "send", "Подъезд", "xyz").code == 1
    assert network.run("multicast", "members", "Подъезд", "--add", EUI).code == 1
    assert network.run("multicast", "remove", "Подъезд").code == 0
    gone = network.run("multicast", "show", "Подъезд")
    assert gone.code == 1 and "no such group" in gone.err


def test_wrong_input_is_one_line_and_status_1(network: Program) -> None:
    result = network.run("gateway", "add", "not-an-eui")
    assert result.code == 1 and result.err.startswith("meterwan: gateway_eui: ") and result.err.count("\n") == 1


def test_a_device_is_added_and_its_key_never_comes_back(network: Program) -> None:
    result = network.run("device", "add", EUI, "--profile", "karat-926lw", "--name", "Flat 12", APP_KEY=KEY)
    assert (result.code, result.out) == (0, f"device {EUI}: added\n"), result.err
    again = network.run("device", "add", EUI, "--profile", "karat-926lw", APP_KEY=KEY)
    assert again.code == 1 and EUI in again.err
    shown = network.run("device", "show", EUI, "--json")
    assert json.loads(shown.out)["name"] == "Flat 12"
    assert KEY not in shown.out + network.run("device", "list", "--json").out
    assert network.run("device", "remove", EUI).code == 0
    assert EUI not in network.run("device", "list").out


def test_devices_go_in_and_out_as_a_table(network: Program) -> None:
    table = network.folder / "devices.csv"
    euis = [f"70b3d5e75f0001{number:02x}" for number in range(30)]
    rows = [f"{eui};70b3d5e75f0000ff;=Flat {number};karat-926lw;{KEY};A{number}" for number, eui in enumerate(euis)]
    table.write_text("dev_eui;join_eui;name;profile;app_key;tag.entrance\n" + "\n".join(rows), encoding="utf-8-sig")

    trial = network.run("device", "import", str(table), "--dry-run")
    assert trial.out == "30 would be created, 0 would be changed, 0 unchanged\n", trial.err
    assert listed(network, "device", "list") == []
    assert network.run("device", "import", str(table)).out == "30 created, 0 changed, 0 unchanged\n"

    out = network.folder / "out.xlsx"
    assert network.run("device", "export", str(out)).code == 0
    cells = list(openpyxl.load_workbook(out).active.values)
    assert len(cells) == 31 and KEY not in str(cells)
    names = {row[0]: row[2] for row in cells[1:]}
    assert names[euis[7]] == "=Flat 7"
    assert network.run("device", "import", str(out)).out == "0 created, 0 changed, 30 unchanged\n"

    text = network.run("device", "export", "-").out
    exported = list(csv.DictReader(text.splitlines()))
    assert exported[3]["name"] == "'=Flat 3" and exported[3]["tag.entrance"] == "A3"
    for eui in euis:
        assert f"\n{eui}," in text


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("dev_eui,colour\n1,red\n", "no such column: colour"),
        ("dev_eui,name\n,x\n", "line 2: dev_eui is empty"),
        (f"dev_eui,name\n{EUI},a\n{EUI.upper()},b\n", "line 3"),
        ("dev_eui,dev_eui\n1,1\n", "stands there twice"),
        ('dev_eui,name\n"unclosed', "not a CSV table"),
        (f"dev_eui,app_key\n{EUI},{KEY[1:]}\n", f"line 2, device {EUI}: app_key must be 32 hex digits"),
        ("dev_eui,name\n70b3d5,a\n", "line 2, device 70b3d5: dev_eui must be 16 hex digits"),
    ],
)
def test_a_wrong_table_changes_nothing(network: Program, tmp_path: Path, table: str, complaint: str) -> None:
    file = tmp_path / "table.csv"
    file.write_text(table)
    before = network.run("device", "list").out
    result = network.run("device", "import", str(file))
    assert result.code == 1 and complaint in result.err and result.err.count("\n") == 1
    assert network.run("device", "list").out == before


def test_one_wrong_row_refuses_all_rows(network: Program, tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    good = f"70b3d5e75f0002a1,70b3d5e75f0000ff,karat-926lw,{KEY}"
    file.write_text(f"dev_eui,join_eui,profile,app_key\n{good}\n70b3d5e75f0002a2,70b3d5e75f0000ff,none,{KEY}\n")
    result = network.run("device", "import", str(file))
    assert result.code == 1 and "none" in result.err and KEY not in result.err
    assert network.run("device", "show", "70b3d5e75f0002a1").code == 1


def test_profiles(network: Program) -> None:
    built_in = {row["name"] for row in listed(network, "profile", "list")}
    assert "karat-926lw" in built_in
    assert network.run("profile", "add", "own", "--mac-version", "1.0.4", "--codec", "vega-si-11").code == 0
    own = json.loads(network.run("profile", "show", "own", "--json").out)
    assert (own["mac_version"], own["region"], own["built_in"]) == ("1.0.4", "RU864", False)
    assert network.run("profile", "remove", "own").code == 0
    assert "there is no profile own" in network.run("profile", "show", "own").err


def test_radio_parameters_of_a_profile(network: Program) -> None:
    radio = (
        "--radio",
        "rx2_dr=3",
        "--radio",
        "rx1_delay_s=5",
        "--channel",
        "864100000:0-5@869100000",
        "--channel",
        "864300000",
    )
    assert network.run("profile", "add", "radio", *radio).code == 0
    shown = json.loads(network.run("profile", "show", "radio", "--json").out)
    assert (shown["rx2_dr"], shown["rx1_delay_s"], shown["rx1_dr_offset"]) == (3, 5, None)
    assert [one["downlink_frequency_hz"] for one in shown["channels"]] == [869_100_000, None]
    assert "rx2_dr" in network.run("profile", "add", "radio", "--radio", "colour=3").err
    assert "whole number" in network.run("profile", "add", "radio", "--radio", "rx2_dr=fast").err
    assert "HZ:MIN-MAX" in network.run("profile", "add", "radio", "--channel", "864.1").err
    assert "multiple of 100 Hz" in network.run("profile", "add", "radio", "--radio", "rx2_frequency_hz=905000000").err
    assert network.run("profile", "remove", "radio").code == 0


def test_health_names_what_is_down(network: Program) -> None:
    result = network.run("health", *network.settings)
    assert result.code == 1 and "not well: application" in result.err
    assert result.lines[0].startswith("network\tok\tRU864")


def test_a_second_process_of_the_same_role_waits_and_is_refused(network: Program) -> None:
    result = network.run("serve", "--role", "network", *network.settings)
    assert result.code == 1
    assert "another network process still works in" in result.err and "pid" in result.err


def test_without_a_server_the_message_says_what_to_do(program: Program) -> None:
    result = program.run("gateway", "list")
    assert result.code == 1 and "start it first: meterwan serve" in result.err
    assert not program.data.exists(), "a command that only asks makes no data folder"


def test_commands_work_on_the_data_of_a_stopped_server(program: Program) -> None:
    process = program.start("serve", "--role", "network", *program.settings)
    try:
        wait_for(program, process, ["network"])
        assert program.run("gateway", "add", "0016c001ff1e5a01", "--name", "while running").code == 0
        process.terminate()
        assert process.wait(WITHIN_S) == 0

        assert program.run("gateway", "add", "0016c001ff1e5a02", "--name", "while stopped").code == 0
        device = ("device", "add", EUI, "--profile", "karat-926lw")
        assert program.run(*device, APP_KEY=KEY).code == 0
        again = program.run(*device, APP_KEY=KEY)
        assert again.code == 1 and again.err.endswith(f"device {EUI} exists already\n")
        names = {row["name"] for row in listed(program, "gateway", "list")}
        assert names == {"while running", "while stopped"}

        process = program.start("serve", "--role", "network", *program.settings)
        wait_for(program, process, ["network"])
        assert {row["name"] for row in listed(program, "gateway", "list")} == names
        assert [row["dev_eui"] for row in listed(program, "device", "list")] == [EUI]
        assert "not closed cleanly" not in program.output()
    finally:
        process.kill()
        process.wait()
