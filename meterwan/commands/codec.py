"""``meterwan codec``: list, test, import, and decoding kept frames again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meterwan.commands.common import Config, DryRun, Json, Set, group, print_json, print_record, print_rows, settings
from meterwan.errors import Failure

if TYPE_CHECKING:
    from appserver.codecs.library import Library

codec = group("Payload codecs: list, test, import, redecode.")


@contextmanager
def own_codecs(config: Path | None, overrides: list[str] | None) -> Iterator[Library]:
    """The codecs of the data folder, beside the program's own."""
    from appserver.codecs.library import Library

    library = Library(settings(config, overrides).settings.data_dir / "codecs")
    library.load()
    try:
        yield library
    finally:
        library.close()


@codec.command("list")
def codec_list(config: Config = None, set_: Set = None, json: Json = False) -> None:
    """List the codecs."""
    from appserver.codecs import CODECS

    with own_codecs(config, set_) as library:
        rows = [
            {
                "name": one.name,
                "version": one.version,
                "title": one.title,
                "own": one.name in library.records,
                "encodes": one.encode is not None,
            }
            for one in CODECS.values()
        ]
        print_rows(rows, ("name", "version", "title", "own", "encodes"), json)
        if library.broken:
            raise Failure("\n".join(broken.reason for broken in library.broken.values()))


@codec.command("test")
def codec_test(
    name: Annotated[str, typer.Argument(metavar="CODEC|FILE", help="A codec, or the .toml file of one.")],
    payload: Annotated[str, typer.Argument(metavar="HEX", help="The payload; without it, the file's samples.")] = "",
    f_port: Annotated[int, typer.Option("--port", min=1, max=255, help="FPort of the frame.")] = 1,
    received_at: Annotated[datetime | None, typer.Option(help="When it came; now by default.")] = None,
    config: Config = None,
    set_: Set = None,
) -> None:
    """Decode one payload and print what it says as JSON; or check a codec's file and run its own samples."""
    from dataclasses import asdict

    from appserver.codecs import CODECS, CodecError

    try:
        data = bytes.fromhex(payload)
    except ValueError:
        raise Failure(f"{payload} is not hex") from None
    moment = received_at.astimezone() if received_at else datetime.now().astimezone()
    if name.endswith(".toml"):
        _test_file(Path(name), data, f_port, moment)
        return
    with own_codecs(config, set_):
        entry = CODECS.get(name)
        if entry is None:
            raise Failure(f"there is no codec {name!r}; meterwan codec list shows all")
        try:
            print_json(asdict(entry.decode(f_port, data, int(moment.timestamp() * 1e6))))
        except CodecError as error:
            raise Failure(f"{name}, port {f_port}: {error}") from None


def _test_file(path: Path, data: bytes, f_port: int, moment: datetime) -> None:
    from dataclasses import asdict

    from appserver.codecs import CodecError
    from appserver.codecs.declared import RecordError, read_record, run_samples
    from appserver.codecs.library import read_files
    from appserver.codecs.sandbox import Sandbox

    sandbox = Sandbox(workers=1)
    try:
        text, script = read_files(path)
        record = read_record(text, path.name, script)
        entry = record.codec(sandbox)
        if data:
            print_json(asdict(entry.decode(f_port, data, int(moment.timestamp() * 1e6))))
            return
        faults = run_samples(record.samples, entry)
        if faults:
            raise Failure("\n".join(f"{path.name}: {fault}" for fault in faults))
        print(f"{entry.label}: {len(record.samples)} samples, all as they must be")
    except (OSError, UnicodeError) as error:
        raise Failure(f"{path} cannot be read: {error}") from None
    except RecordError as error:
        raise Failure(str(error)) from None
    except CodecError as error:
        raise Failure(f"{path.name}, port {f_port}: {error}") from None
    finally:
        sandbox.close()


@codec.command("import")
def codec_import(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="A catalogue of device codecs.")],
    config: Config = None,
    set_: Set = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Take codecs out of a catalogue folder (laid out as lorawan-devices is): scripts unchanged, examples as samples.

    A running server takes them within seconds. What of their values are readings stands in each file's [[measurement]].
    """
    from dataclasses import asdict

    from appserver.codecs.catalogue import import_catalogue

    with own_codecs(config, set_) as library:
        rows = [asdict(one) for one in import_catalogue(library, folder, dry_run)]
    if not rows:
        raise Failure(f"{folder} has no codec: a .yaml file with uplinkDecoder")
    print_rows(rows, ("name", "state", "samples", "note"), json)


@codec.command("redecode")
def codec_redecode(
    name: Annotated[str, typer.Option("--codec", help="Only frames of this codec.")] = "",
    config: Config = None,
    set_: Set = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Decode kept frames again after a codec has changed, and list the statements that change by it."""
    from dataclasses import asdict

    from appserver.redecoding import redecode_with_report
    from meterwan.application import now_us, opened

    loaded = settings(config, set_)
    with own_codecs(config, set_), opened(loaded) as database:
        report = redecode_with_report(database, now_us(), name, dry_run=dry_run)
    if json:
        print_json(asdict(report))
        return
    told = asdict(report)
    statements = told.pop("statements")
    print_record(told, False)
    if statements:
        columns = ("address", "premises", "resource", "month", "before", "after", "days", "closed")
        print_rows(statements, columns, False)
    if not report.complete:
        print("only a part was tried: a dry run may not hold the database for longer", end="\n")
