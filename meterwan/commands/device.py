"""``meterwan device``: radio modules, one by one and as a table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from meterwan.commands.common import (
    Config,
    DryRun,
    Json,
    Network,
    Set,
    as_dict,
    group,
    print_record,
    print_rows,
    say,
    settings,
    warn,
)
from meterwan.errors import Failure

app = group("Devices: add, import, export, list, show, remove.")

DevEui = Annotated[str, typer.Argument(metavar="DEV_EUI", help="Sixteen hex digits from the device's label.")]
TAG = "tag."

IMPORTED = ("dev_eui", "join_eui", "name", "profile", "activation", "app_key", "nwk_key")
"""Columns that an import takes, besides ``tag.<name>``. An export writes them without the keys."""
EXPORTED = (
    "dev_eui", "join_eui", "name", "profile", "activation",
    "dev_addr", "joined_at", "last_seen", "f_cnt_up", "rssi_dbm", "snr_db", "battery",
)  # fmt: skip
_HEX_DIGITS = {"dev_eui": 16, "join_eui": 16, "app_key": 32, "nwk_key": 32}
_ONLY_EXPORTED = frozenset(EXPORTED) - frozenset(IMPORTED)


@app.command()
def add(
    dev_eui: DevEui,
    profile: Annotated[str, typer.Option(help="Device profile; `meterwan profile list` shows them.")],
    join_eui: Annotated[str, typer.Option(help="JoinEUI (AppEUI) of the device.")] = "0000000000000000",
    app_key: Annotated[str, typer.Option(help="AppKey; better by the environment variable.", envvar="APP_KEY")] = "",
    nwk_key: Annotated[str, typer.Option(help="NwkKey of a LoRaWAN 1.1 device.", envvar="NWK_KEY")] = "",
    name: Annotated[str, typer.Option(help="What people call it.")] = "",
    config: Config = None,
    set_: Set = None,
) -> None:
    """Add one device that joins over the air."""
    row = {"dev_eui": dev_eui, "join_eui": join_eui, "name": name, "profile": profile, "activation": "OTAA"}
    if app_key:
        row["app_key"] = app_key
    if nwk_key:
        row["nwk_key"] = nwk_key
    with Network(settings(config, set_)) as network:
        result = network.call("devices_put", items=[_write(row)], create_only=True)
    warn(result.warnings)
    say(f"device {dev_eui}: added")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV or XLSX with the columns of an export; - is standard input.")],
    dry_run: DryRun = False,
    config: Config = None,
    set_: Set = None,
) -> None:
    """Create and change devices from a table: all rows or none."""
    items = list(_rows_to_writes(file))
    with Network(settings(config, set_)) as network:
        result = network.call("devices_put", items=items, dry_run=dry_run)
    warn(result.warnings)
    verb = "would be " if dry_run else ""
    say(f"{result.created} {verb}created, {result.changed} {verb}changed, {result.unchanged} unchanged")


def _rows_to_writes(file: Path) -> Iterator[Any]:
    from meterwan.tables import read

    seen: dict[str, int] = {}
    for number, row in read(file):
        unknown = [
            name for name in row if name not in IMPORTED and name not in _ONLY_EXPORTED and not name.startswith(TAG)
        ]
        if unknown:
            raise Failure(f"{file}: no such column: {', '.join(unknown)}; there are {', '.join(IMPORTED)}, {TAG}…")
        dev_eui = row.get("dev_eui", "").lower()
        if not dev_eui:
            raise Failure(f"{file} line {number}: dev_eui is empty")
        if dev_eui in seen:
            raise Failure(f"{file} line {number}: {dev_eui} stands in line {seen[dev_eui]} already")
        seen[dev_eui] = number
        for column, digits in _HEX_DIGITS.items():
            if row.get(column) and not re.fullmatch(rf"[0-9a-fA-F]{{{digits}}}", row[column]):
                raise Failure(f"{file} line {number}, device {dev_eui}: {column} must be {digits} hex digits")
        yield _write(row)


def _write(row: Mapping[str, str]) -> Any:
    """A message from a row; what the row leaves empty keeps its value."""
    from internalapi.messages import DeviceWrite

    fields: dict[str, Any] = {name: row[name] for name in IMPORTED if row.get(name)}
    tags = {name.removeprefix(TAG): value for name, value in row.items() if name.startswith(TAG) and value}
    if tags:
        fields["tags"] = tags
    return DeviceWrite(**fields)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="CSV or XLSX by its ending; - is standard output.")],
    q: Annotated[str, typer.Option("--q", help="Part of the name or of the EUI.")] = "",
    config: Config = None,
    set_: Set = None,
) -> None:
    """Write all devices into a table, without keys."""
    from meterwan.commands.common import plain
    from meterwan.tables import write

    with Network(settings(config, set_)) as network:
        records = [as_dict(record) for record in network.all("devices", q=q)]
    tags = sorted({tag for record in records for tag in record["tags"]})
    rows = [
        {column: plain(record.get(column)) for column in EXPORTED}
        | {TAG + tag: value for tag, value in record["tags"].items()}
        for record in records
    ]
    count = write(file, [*EXPORTED, *(TAG + tag for tag in tags)], rows)
    if str(file) != "-":
        say(f"{count} devices written to {file}")


@app.command("list")
def list_(
    q: Annotated[str, typer.Option("--q", help="Part of the name or of the EUI.")] = "",
    config: Config = None,
    set_: Set = None,
    json: Json = False,
) -> None:
    """List the devices."""
    with Network(settings(config, set_)) as network:
        rows = [as_dict(record) for record in network.all("devices", q=q)]
    print_rows(rows, ("dev_eui", "name", "profile", "dev_addr", "last_seen", "rssi_dbm", "snr_db", "battery"), json)


@app.command()
def show(dev_eui: DevEui, config: Config = None, set_: Set = None, json: Json = False) -> None:
    """Show one device and its session, without keys."""
    with Network(settings(config, set_)) as network:
        record = as_dict(network.call("device", key=dev_eui))
        if record["dev_addr"]:
            record["session"] = as_dict(network.call("session", key=dev_eui))
    print_record(record, json)


@app.command()
def remove(dev_eui: DevEui, config: Config = None, set_: Set = None) -> None:
    """Remove a device with its keys and its session; readings stay."""
    with Network(settings(config, set_)) as network:
        network.call("device_delete", key=dev_eui)
    say(f"device {dev_eui}: removed")
