"""``python -m lorasim keys``: every table and key of a scenario with its default and meaning, as Markdown.

It is read from the classes themselves, so that the page cannot say anything else than the program does.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import sys
import textwrap
import types
from collections.abc import Iterator, Sequence
from typing import Any, Union, get_args, get_origin, get_type_hints

from lorasim.scenario import Scenario


def main(arguments: Sequence[str] = ()) -> int:
    """Print them."""
    sys.stdout.write(markdown())
    return 0


def markdown() -> str:
    """All tables, the outermost first."""
    return "\n".join(_section(name, cls) for name, cls in _tables(Scenario, ""))


def _tables(cls: type[Any], name: str) -> Iterator[tuple[str, type[Any]]]:
    """Each class that a table of the file becomes, with how the table is written."""
    yield name, cls
    hints = get_type_hints(cls)
    for f in dataclasses.fields(cls):
        inner, many = _inner(hints[f.name])
        if inner is not None:
            path = f"{name}.{_key(f)}".lstrip(".").replace("[", "").replace("]", "")
            yield from _tables(inner, f"[[{path}]]" if many else f"[{path}]")


def _inner(kind: Any) -> tuple[type[Any] | None, bool]:
    """The class of a sub-table and whether there may be many."""
    many = get_origin(kind) is list
    if many or get_origin(kind) in (Union, types.UnionType):
        kind = next((one for one in get_args(kind) if one is not type(None)), None)
    return (kind, many) if dataclasses.is_dataclass(kind) and isinstance(kind, type) else (None, many)


def _key(f: dataclasses.Field[Any]) -> str:
    return str(f.metadata.get("key", f.name))


def _section(name: str, cls: type[Any]) -> str:
    meanings = _meanings(cls)
    lines = [f"### {f'`{name}`' if name else 'Top of the file'}", "", "| key | default | meaning |", "|---|---|---|"]
    hints = get_type_hints(cls)
    for f in dataclasses.fields(cls):
        inner, many = _inner(hints[f.name])
        meaning = meanings.get(f.name, "")
        if inner is not None:
            meaning = f"{meaning} See `{'[[' if many else '['}…{_key(f)}{']]' if many else ']'}`.".strip()
        lines.append(f"| `{_key(f)}` | {_default(f)} | {meaning} |")
    return "\n".join([*lines, ""])


def _default(f: dataclasses.Field[Any]) -> str:
    if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
        return "must be given"
    value = f.default if f.default is not dataclasses.MISSING else f.default_factory()  # type: ignore[misc]
    if dataclasses.is_dataclass(value) or value is None or value in ("", [], {}, frozenset(), ()):
        return "–"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, dict):
        return "`{ " + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + " }`"
    return f"`{_toml(value)}`"


def _toml(value: object) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _meanings(cls: type[Any]) -> dict[str, str]:
    """The strings behind the fields of a class, in one line each."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(tree, ast.ClassDef)
    found: dict[str, str] = {}
    for before, node in zip(tree.body, tree.body[1:], strict=False):
        told = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        if told and isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name):
            text = " ".join(str(node.value.value).split())  # type: ignore[attr-defined]
            found[before.target.id] = text.replace("``", "`").replace("|", "\\|")
    return found


if __name__ == "__main__":
    sys.exit(main())
