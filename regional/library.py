"""Where plans come from: the files shipped in this package and the operator's own folder."""

from __future__ import annotations

import threading
import tomllib
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from regional import common
from regional.builder import build
from regional.plan import Plan
from regional.reader import overlay
from regional.types import PlanError

_SUFFIX = ".toml"
_LAYERS = ("until", "what")


class Library:
    """All plans at hand. A file of the operator's `folder` adds a plan, or replaces the shipped one of its name.

    Plans are read when first asked for and kept. Names are those of the files, in any case of letters.
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

        Raises PlanError for an unknown name or revision, and for a file that is wrong.
        """
        key = name.upper(), revision
        known = self._plans.get(key)
        if known is None:
            with self._lock:
                known = self._plans[key] = self._read(*key)
        return known

    def _read(self, name: str, revision: str | None) -> Plan:
        values, source = self._values(name, ())
        own_revision = values.pop("revision", None)
        if own_revision not in common.REVISIONS:
            raise PlanError(f"{source}: revision: expected one of {', '.join(common.REVISIONS)}, got {own_revision!r}")
        asked = revision or own_revision
        if asked not in common.REVISIONS:
            raise PlanError(
                f"there is no revision {asked!r} of the Regional Parameters; known: {', '.join(common.REVISIONS)}"
            )
        since = values.get("since", common.REVISIONS[0])
        if since not in common.REVISIONS:
            raise PlanError(f"{source}: since: expected one of {', '.join(common.REVISIONS)}, got {since!r}")
        if not _age(since) <= _age(asked) <= _age(own_revision):
            raise PlanError(f"{name} is known from {since} to {own_revision}, not in {asked}")
        return build(_as_of(values, asked, source), source, asked)

    def _values(self, name: str, children: tuple[Traversable, ...]) -> tuple[dict[str, Any], str]:
        """The tables of a plan with those it extends below them. An own plan may extend the shipped one of its own name."""
        file = self._own.get(name)
        if file is None or file in children:
            file = self._shipped.get(name)
        if file is None:
            raise PlanError(f"there is no region plan {name!r}; there are {', '.join(self.names())}")
        source = str(file)
        if file in children:
            raise PlanError(f"{source}: extends: the plan ends up extending itself")
        try:
            values = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise PlanError(f"{source}: not a readable TOML file: {error}") from error
        if values.get("name", "").upper() != name:
            raise PlanError(f"{source}: name: must be {name!r} as the file is called")
        base_name = values.pop("extends", None)
        if base_name is None:
            return values, source
        base, _ = self._values(str(base_name).upper(), (*children, file))
        return overlay(base, values, source), source


def _as_of(values: dict[str, Any], revision: str, source: str) -> dict[str, Any]:
    """Lay the differences of later revisions over the plan, newest first."""
    differences = values.get("differences", [])
    for n, row in enumerate(differences):
        where = f"{source}: differences[{n}]"
        if not isinstance(row, dict) or row.get("until") not in common.REVISIONS:
            raise PlanError(f"{where}.until: expected one of {', '.join(common.REVISIONS)}")
        if not isinstance(row.get("what"), str):
            raise PlanError(f"{where}.what: say in words what the difference is")
    for row in sorted(differences, key=lambda row: -_age(row["until"])):
        if _age(revision) <= _age(row["until"]):
            values = overlay(values, {key: value for key, value in row.items() if key not in _LAYERS}, source)
    return values


def _age(revision: str) -> int:
    return common.REVISIONS.index(revision)


def _files(folder: Traversable) -> dict[str, Traversable]:
    return {
        file.name.removesuffix(_SUFFIX).upper(): file
        for file in folder.iterdir()
        if file.name.endswith(_SUFFIX) and not file.name.startswith(".")
    }
