"""Reads rule files and answers which rule held on a day.

A file has rules one after another::

    [[rule]]
    kind = "verification"        # one of kinds.KINDS
    name = "moratorium"          # tells several of a kind apart, empty by default
    address = ""                 # only buildings whose address contains this text; empty: all
    valid_from = 2020-04-06
    valid_to = 2021-01-01        # excluded; left out: until further notice
    source = "ПП РФ 424 от 02.04.2020"
    [rule.values]
    expired_accepted = true

Of the rules that hold on a day, one that an organisation entered (``rules.entered``) beats one of ``data_dir/rules``,
that one the package's; one with an address beats one without, a later ``valid_from`` an earlier one.
"""

from __future__ import annotations

import hashlib
import itertools
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from appserver.errors import RegistryError
from appserver.rules.kinds import KINDS, Values

PACKAGED = Path(__file__).parent / "data"
_KEYS = {"kind", "name", "address", "valid_from", "valid_to", "source", "note", "values"}
ValuesT = TypeVar("ValuesT", bound=Values)


class RulesError(RegistryError):
    """A rule file that cannot be used: the text names file and key."""

    def __init__(self, file: Path, key: str, detail: str) -> None:
        super().__init__("invalid", key, f"rules file {file.name}: {key + ': ' if key else ''}{detail}")
        self.file = file


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule with its term."""

    kind: str
    name: str
    address: str
    valid_from: date
    valid_to: date | None
    """Excluded."""
    source: str
    values: Values
    file: str
    own: bool
    """Of ``data_dir/rules`` or entered, not of the package."""
    note: str = ""
    entered_id: int | None = None
    """Row of the table, for one that was entered."""
    organisation_id: int | None = None
    """Whose rule it is, when it is one organisation's."""
    addresses: frozenset[str] | None = None
    """The buildings of that organisation; None: of everybody."""

    @property
    def version(self) -> str:
        """``kind[.name]@valid_from#hash``: what statements say. The hash is of everything that the rule says."""
        said = (
            f"{self.kind}|{self.name}|{self.address}|{self.valid_from}|{self.valid_to}|{self.values.model_dump_json()}"
        )
        if self.organisation_id is not None:
            said += f"|organisation {self.organisation_id}"
        digest = hashlib.sha256(said.encode()).hexdigest()[:8]
        return f"{'.'.join(filter(None, (self.kind, self.name)))}@{self.valid_from}#{digest}"

    def holds(self, day: date, address: str = "") -> bool:
        """Whether it is in force on ``day`` for a building with this address."""
        if self.address and self.address.casefold() not in address.casefold():
            return False
        if self.addresses is not None and address not in self.addresses:
            return False
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)

    @property
    def rank(self) -> tuple[bool, bool, bool, bool, date]:
        """The highest counts."""
        return self.own, self.entered_id is not None, bool(self.address), self.addresses is not None, self.valid_from


@dataclass(frozen=True, slots=True)
class RuleBook:
    """All rules."""

    rules: tuple[Rule, ...]

    def find(self, kind: str, day: date, address: str = "", name: str | None = None, **equal: Any) -> Rule | None:
        """The rule of a kind on a day, None when there is none; ``equal`` are values it must have."""
        found = [
            rule
            for rule in self.rules
            if rule.kind == kind
            and (name is None or rule.name == name)
            and rule.holds(day, address)
            and all(getattr(rule.values, key) == value for key, value in equal.items())
        ]
        return max(found, key=lambda rule: rule.rank, default=None)

    def get(
        self, values: type[ValuesT], day: date, address: str = "", name: str | None = None, **equal: Any
    ) -> tuple[Rule, ValuesT]:
        """The rule and its values. Raises RegistryError ``invalid`` when no rule holds on that day."""
        kind = next(kind for kind, model in KINDS.items() if model is values)
        rule = self.find(kind, day, address, name, **equal)
        if rule is None:
            raise RegistryError("invalid", kind, f"No rule {kind!r} holds on {day}; add one to the folder rules.")
        assert isinstance(rule.values, values)
        return rule, rule.values


def load(folder: Path | None = None) -> RuleBook:
    """The package's rules with those of ``folder``. Raises RulesError that names file and key."""
    rules = [rule for file in sorted(PACKAGED.glob("*.toml")) for rule in _read(file, own=False)]
    if folder is not None and folder.is_dir():
        rules += [rule for file in sorted(folder.glob("*.toml")) for rule in _read(file, own=True)]
    _check_terms(rules)
    return RuleBook(tuple(rules))


def book_of(data_dir: Path) -> RuleBook:
    """The rules of a data folder as its files are now; they are read again when one of them changes."""
    folder = data_dir / "rules"
    files = sorted(folder.glob("*.toml")) if folder.is_dir() else []
    return _cached(folder, tuple((file.name, (s := file.stat()).st_mtime_ns, s.st_size) for file in files))


@lru_cache(maxsize=16)
def _cached(folder: Path, _: tuple[tuple[str, int, int], ...]) -> RuleBook:
    return load(folder)


def _read(file: Path, own: bool) -> Iterable[Rule]:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RulesError(file, "", f"is not TOML: {error}") from error
    for key in document:
        if key != "rule":
            raise RulesError(file, key, "is not known; a file has [[rule]] tables only")
    entries = document.get("rule", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise RulesError(file, "rule", "must be tables: write [[rule]]")
    return [_rule(file, f"rule[{number}]", entry, own) for number, entry in enumerate(entries, 1)]


def _rule(file: Path, at: str, entry: dict[str, Any], own: bool) -> Rule:
    def text(key: str, needed: bool = False) -> str:
        value = entry.get(key, "")
        if not isinstance(value, str) or (needed and not value.strip()):
            raise RulesError(file, f"{at}.{key}", "must be a text" + (" that is not empty" if needed else ""))
        return value.strip()

    def day(key: str) -> date:
        value = entry[key]
        if not isinstance(value, date) or isinstance(value, datetime):
            raise RulesError(file, f"{at}.{key}", "must be a date such as 2026-07-01, without quotes")
        return value

    for key in entry:
        if key not in _KEYS:
            raise RulesError(file, f"{at}.{key}", f"is not known; known are {', '.join(sorted(_KEYS))}")
    kind = text("kind", needed=True)
    if kind not in KINDS:
        raise RulesError(file, f"{at}.kind", f"there is no kind {kind!r}; known are {', '.join(KINDS)}")
    if "valid_from" not in entry:
        raise RulesError(file, f"{at}.valid_from", "is missing")
    valid_from, valid_to = day("valid_from"), day("valid_to") if "valid_to" in entry else None
    if valid_to is not None and valid_to <= valid_from:
        raise RulesError(file, f"{at}.valid_to", "must be after valid_from; it is excluded")
    try:
        values = KINDS[kind].model_validate(entry.get("values", {}))
    except ValidationError as error:
        place, said = first_fault(error)
        raise RulesError(file, f"{at}.{place}", said) from error
    return Rule(
        kind,
        text("name"),
        text("address"),
        valid_from,
        valid_to,
        text("source", True),
        values,
        file.name,
        own,
        text("note"),
    )


def first_fault(error: ValidationError) -> tuple[str, str]:
    """The place (``values.per_person``) and the words of the first thing that is wrong with a rule's values."""
    first = error.errors()[0]
    return ".".join(("values", *map(str, first["loc"]))), first["msg"].removeprefix("Value error, ")


def _check_terms(rules: Sequence[Rule]) -> None:
    """Two rules of the same folder must not say different things of the same day."""
    groups: dict[tuple[Any, ...], list[Rule]] = {}
    for rule in rules:
        resource = getattr(rule.values, "resource", "")
        groups.setdefault((rule.own, rule.kind, rule.name, rule.address.casefold(), resource), []).append(rule)
    for group in groups.values():
        group.sort(key=lambda rule: rule.valid_from)
        for earlier, later in itertools.pairwise(group):
            if earlier.valid_to is None or earlier.valid_to > later.valid_from:
                detail = (
                    f"overlaps the one from {earlier.valid_from} in {earlier.file}; give that one a valid_to of"
                    f" {later.valid_from} at most"
                )
                raise RulesError(Path(later.file), f"{later.kind}@{later.valid_from}", detail)
