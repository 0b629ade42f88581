"""``meterwan gar``: the state address register (ГАР) for chosen regions."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from meterwan.commands.common import Config, DryRun, Json, Set, group, print_json, print_rows, say, settings
from meterwan.errors import Failure

gar = group("The state address register (ГАР, ФИАС): import of regions, search, binding of houses.")


@gar.command("import")
def gar_import(
    path: Annotated[
        Path, typer.Argument(help="gar_xml.zip as published, the same unpacked, or the folder of a region.")
    ],
    region: Annotated[list[str], typer.Option("--region", help="Code of a region, such as 74; may be given again.")],
    hierarchy: Annotated[Literal["adm", "mun"], typer.Option(help="Administrative or municipal division.")] = "adm",
    apartments: Annotated[bool, typer.Option("--apartments", help="Also premises.")] = False,
    history: Annotated[bool, typer.Option("--history", help="Also GUIDs of single records (AOID, HOUSEID).")] = False,
    config: Config = None,
    set_: Set = None,
    json: Json = False,
) -> None:
    """Load regions into gar.db of the data folder; what was there of them is replaced."""
    from appserver.gar import GarError, Options, Source, load
    from appserver.gar.register import FILE
    from meterwan.application import now_us

    folder = settings(config, set_).settings.data_dir
    shown = [""]

    def told(name: str, read: int, size: int) -> None:
        if sys.stderr.isatty() and (line := f"{name.split('/')[-1][:40]}: {100 * read // max(size, 1)} %") != shown[0]:
            shown[0] = line
            print(f"\r{line:<60}", end="", file=sys.stderr)

    done = []
    try:
        for code in region:
            with Source(path, code if len(region) == 1 else "") as source:
                options = Options(hierarchy, apartments, history)
                done.append(asdict(load(folder / FILE, source, code, now_us(), options, told)))
    except GarError as error:
        raise Failure(str(error)) from None
    print_rows(done, tuple(done[0]), json)


@gar.command("show")
def show(config: Config = None, set_: Set = None, json: Json = False) -> None:
    """Regions that are loaded."""
    from appserver.gar import open_register

    with open_register(settings(config, set_).settings.data_dir) as register:
        rows = [asdict(region) for region in register.regions()]
    print_rows(rows, ("code", "name", "stamp", "places", "houses", "apartments", "old_guids"), json)


@gar.command("search")
def search(
    text: Annotated[str, typer.Argument(help="Words of an address, or a GUID, an old one too.")],
    config: Config = None,
    set_: Set = None,
    json: Json = False,
) -> None:
    """Find an address."""
    from appserver.gar import open_register

    with open_register(settings(config, set_).settings.data_dir) as register:
        rows = [asdict(found) for found in register.search(text)]
    print_rows(rows, ("guid", "address", "active"), json)


@gar.command("bind")
def bind(dry_run: DryRun = False, config: Config = None, set_: Set = None, json: Json = False) -> None:
    """Bind houses to the register: old GUIDs to the valid ones, and what one address alone fits."""
    from appserver.gar import binding, open_register
    from appserver.registry import Note
    from meterwan.application import opened

    loaded = settings(config, set_)
    folder = loaded.settings.data_dir
    with opened(loaded) as database:
        if dry_run:
            with open_register(folder) as register:
                found = binding.compare(database, register)
        else:
            found = binding.bind_all(database, folder, Note("command line"))
    if json:
        print_json([asdict(one) for one in found])
        return
    for one in found:
        say(f"{one.state}: {one.address}{f' -> {one.found.address}' if one.found else ''}")
