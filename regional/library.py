"""Where plans come from: the files shipped in this package and the operator's own folder."""

from __future__ import annotations

import threading
import tomllib
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from regional.builder import build
from regional.common import REVISIONS
from regional.plan import Plan
from regional.reader import overlay
from regional.types import PlanError

_SUFFIX = ".toml"
_LAYERS = ("until", "what")


class Library:
    """All plans at hand. A file of the operator's `folder` adds a plan, or replaces the shipped one of its name.

    Plans are read when first asked for and kept. Names are those of the files, or their `aliases`, in any case.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._shipped = _files(resources.files("regional") / "plans")
        self._own: dict[str, Traversable] = {}
        self._plans: dict[tuple[str, str | None], Plan] = {}
        self._lock = threading.Lock()
        if folder is not None:
            if not folder.is_dir():
                raise PlanError(f"{folder}: no such folder of region plans; make it or leave the setting empty")
            self._own = _files(folder)

    def names(self) -> list[str]:
        """The names of all plans, sorted."""
        return sorted(self._shipped | self._own)

    def is_own(self, name: str) -> bool:
        """Whether a plan comes from the operator's folder."""
        return name.upper() in self._own

    def plan(self, name: str, revision: str | None = None) -> Plan:
        """The plan of a name, as of a revision of the Regional Parameters (the one its file follows if not told).

        A revision before the plan's first gives its first form, one after the file's own gives the file's own: the
        answer's `revision` says which. Raises PlanError for an unknown name or revision, and for a file that is wrong.
        """
        key = name, revision
        known = self._plans.get(key)
        if known is None:
            with self._lock:
                values, source = self._values(self._file_name(name), ())
                known = self._plans[key] = plan_from(values, source, revision)
        return known

    def _file_name(self, name: str) -> str:
        upper = name.upper()
        if upper in self._own or upper in self._shipped:
            return upper
        for file_name in self.names():
            aliases = self._values(file_name, ())[0].get("aliases")
            if isinstance(aliases, list) and upper in aliases:
                return file_name
        raise PlanError(f"there is no region plan {name!r}; there are {', '.join(self.names())}")

    def _values(self, name: str, children: tuple[Traversable, ...]) -> tuple[dict[str, Any], str]:
        """The tables of a plan laid over those it extends. An own plan may extend the shipped one of its name."""
        file = self._own.get(name)
        if file is None or file in children:
            file = self._shipped.get(name)
        if file is None:
            raise PlanError(f"{children[-1]}: extends: there is no plan {name!r}; there are {', '.join(self.names())}")
        source = str(file)
        if file in children:
            raise PlanError(f"{source}: extends: the plan ends up extending itself")
        try:
            values = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise PlanError(f"{source}: not a readable TOML file: {error}") from error
        if str(values.get("name")).upper() != name:
            raise PlanError(f"{source}: name: must be {name!r} as the file is called")
        base_name = values.pop("extends", None)
        if base_name is None:
            return values, source
        base, _ = self._values(str(base_name).upper(), (*children, file))
        return overlay(base, values, source), source


def plan_from(values: Mapping[str, Any], source: str, revision: str | None = None) -> Plan:
    """The plan that the tables of a file give for a revision. Raises PlanError that names the source and the key."""
    values = dict(values)
    own_revision = values.pop("revision", None)
    if values.get("official") is False and isinstance(own_revision, str):
        return build(values, source, own_revision)  # outside the Regional Parameters there are no revisions
    since = values.get("since", REVISIONS[0])
    for key, value in (("revision", own_revision), ("since", since)):
        if value not in REVISIONS:
            raise PlanError(f"{source}: {key}: expected one of {', '.join(REVISIONS)}, got {value!r}")
    asked = revision or own_revision
    if asked not in REVISIONS:
        raise PlanError(f"no Regional Parameters are called {asked!r}; known are {', '.join(REVISIONS)}")
    asked = min(max(asked, since, key=_age), own_revision, key=_age)
    for row in _later_first(values, source):
        if _age(asked) <= _age(row["until"]):
            values = overlay(values, {key: value for key, value in row.items() if key not in _LAYERS}, source)
    return build(values, source, asked)


def _later_first(values: Mapping[str, Any], source: str) -> list[dict[str, Any]]:
    differences = values.get("differences", [])
    if not isinstance(differences, list):
        raise PlanError(f"{source}: differences: expected an array of tables, got {differences!r}")
    for n, row in enumerate(differences):
        if not isinstance(row, dict) or row.get("until") not in REVISIONS:
            raise PlanError(f"{source}: differences[{n}].until: expected one of {', '.join(REVISIONS)}")
        if not isinstance(row.get("what"), str):
            raise PlanError(f"{source}: differences[{n}].what: say in words what the difference is")
    return sorted(differences, key=lambda row: -_age(row["until"]))


def _age(revision: str) -> int:
    return REVISIONS.index(revision)


def _files(folder: Traversable) -> dict[str, Traversable]:
    return {
        file.name.removesuffix(_SUFFIX).upper(): file
        for file in folder.iterdir()
        if file.name.endswith(_SUFFIX) and not file.name.startswith(".")
    }
