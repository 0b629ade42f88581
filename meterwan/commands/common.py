"""What all commands share: their options, the way to the network process, and how lists are printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from meterwan.errors import Failure

if TYPE_CHECKING:
    from meterwan.settings import Loaded

T = TypeVar("T")

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="Settings file; ./meterwan.toml when there is one."),
]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one setting, e.g. region=EU868.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")]


def settings(config: Path | None, overrides: Sequence[str] | None = None) -> Loaded:
    """The effective settings. Raises SettingsError."""
    from meterwan.settings import load

    return load(config, overrides=overrides or ())


def group(help: str) -> typer.Typer:
    """A group of commands, such as ``gateway``."""
    return typer.Typer(help=help, no_args_is_help=True)


# ------------------------------------------------------------------------------------------------ the network process


class Network:
    """The network server of a data folder for one command, running or stopped; a context manager.

    While a server runs, its network process is asked; otherwise the folder is opened, under its locks.
    """

    def __init__(self, loaded: Loaded) -> None:
        import asyncio

        self._settings = loaded.settings
        self._runner = asyncio.Runner()
        self._client: Any = None

    def __enter__(self) -> Network:
        self._runner.__enter__()
        try:
            self._client = self._runner.run(self._connect())
        except BaseException:
            self._runner.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._client.__aexit__(None, None, None))
        self._runner.close()

    async def _connect(self) -> Any:
        from internalapi.client import NetworkClient, NetworkUnavailable, socket_path
        from meterwan.datadir import DataDir

        data = DataDir(self._settings.data_dir)
        if not (data.path / "network.db").exists() or not data.token.exists():
            raise Failure(f"there is no server's data in {data.path}; start it first: meterwan serve")
        client = NetworkClient(socket_path(data.path), data.read_token())
        try:
            await client.status()
            return client
        except NetworkUnavailable:
            await client.close()
        from meterwan.offline import OfflineNetwork

        return await OfflineNetwork(self._settings).__aenter__()

    def run(self, work: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        """Run ``work`` with the client (or what stands in for it). Raises Failure with the server's reason."""
        from internalapi.client import ApiError, NetworkUnavailable

        try:
            return self._runner.run(work(self._client))
        except ApiError as error:
            field, detail = error.problem.field, error.problem.detail
            raise Failure(detail if not field or field in detail else f"{field}: {detail}") from None
        except NetworkUnavailable as error:
            raise Failure(str(error)) from None

    def call(self, method: str, **fields: Any) -> Any:
        """Call a method of ``internalapi.messages``. Raises Failure with the server's reason."""
        return self.run(lambda client: getattr(client, method)(**fields))

    def all(self, method: str, **fields: Any) -> Iterator[Any]:
        """Every record of a list method, page by page."""
        cursor = ""
        while True:
            page = self.call(method, cursor=cursor, limit=1000, **fields)
            yield from page.items
            if not page.next_cursor:
                return
            cursor = page.next_cursor


# ------------------------------------------------------------------------------------------------ printing


def print_rows(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], as_json: bool) -> None:
    """Print a list: JSON, a table on a terminal, tab-separated lines in a pipe."""
    rows = list(rows)
    if as_json:
        print_json(rows)
    elif sys.stdout.isatty():
        _print_table(rows, columns)
    else:
        for row in rows:
            print("\t".join(plain(row.get(column)).replace("\t", " ").replace("\n", " ") for column in columns))


def print_record(record: Mapping[str, Any], as_json: bool) -> None:
    """Print one thing: JSON, or a line for each field."""
    if as_json:
        print_json(record)
        return
    width = max((len(name) for name in record), default=0)
    for name, value in record.items():
        print(f"{name:<{width}}  {plain(value)}")


def print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def plain(value: Any) -> str:
    """A value in a cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return " ".join(f"{key}={plain(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return " ".join(plain(item) for item in value)
    return str(value)


def _print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(row.get(column))) for column in columns))
    Console().print(table if rows else Text("nothing", style="dim"))


def as_dict(record: Any) -> dict[str, Any]:
    """A message of the internal API as plain values, times as text."""
    import msgspec

    values = msgspec.to_builtins(record)
    return {name.removesuffix("_us") if name.endswith("_us") else name: _shown(name, v) for name, v in values.items()}


def _shown(name: str, value: Any) -> Any:
    return moment(value) if name.endswith("_us") and isinstance(value, int) else value


def moment(us: int) -> str:
    """Microseconds since 1970 as local time with its offset."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(us / 1e6, UTC).astimezone().isoformat(timespec="seconds")


def warn(warnings: Iterable[str]) -> None:
    """One line each, for people, apart from the output."""
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)


def say(text: str) -> None:
    """One line for people about what was done."""
    print(text)
