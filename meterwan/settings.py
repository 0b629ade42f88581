"""The one settings object: a TOML file, the environment, ``--set`` and defaults, put together with their origins.

Each room describes its own part (``lns.settings``, ``appserver.settings``, ``joinserver.settings``); this module reads
the sources, lays them over one another and names the key and its origin when something is wrong.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, field_validator

from appserver.settings import ApplicationSettings, HttpSettings
from joinserver.settings import JoinServerSettings
from lns.settings import GatewaysSettings, NetworkSettings
from meterwan.errors import SettingsError

ENVIRONMENT_PREFIX = "METERWAN__"
DEFAULT_FILE = Path("meterwan.toml")
PLACEHOLDERS = frozenset(
    {"changeme", "change-me", "secret", "password", "placeholder", "example", "you-must-replace-me"}
)

Key = tuple[str, ...]


class Section(BaseModel):
    """A table of the file; an unknown key is an error that names it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def part_of(name: str, room: type[BaseModel], without: Collection[str]) -> type[BaseModel]:
    """The section that holds a room's settings, except those that the program gives it from other places."""
    fields: dict[str, Any] = {
        key: (info.annotation, info) for key, info in room.model_fields.items() if key not in without
    }
    return create_model(name, __base__=Section, __doc__=room.__doc__, **fields)


NetworkSection = part_of("NetworkSection", NetworkSettings, ("data_dir", "region", "gateways"))
ApplicationSection = part_of("ApplicationSection", ApplicationSettings, ("data_dir", "database_url", "http"))


class DatabaseSection(Section):
    """The application's database. The network's journal is embedded whatever stands here."""

    url: str = ""
    """``postgresql://user@host/database``; empty: ``application.db`` in the data folder."""

    @field_validator("url")
    @classmethod
    def _is_postgresql(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("postgresql", "postgres") or not parts.path.strip("/")):
            raise ValueError("write it as postgresql://user:password@host:5432/database, or leave it empty")
        return value


class EmbeddedOnly(Section):
    """Where another server would be named."""

    url: str = ""

    @field_validator("url")
    @classmethod
    def _is_empty(cls, value: str) -> str:
        if value:
            raise ValueError("only the embedded store is in this version; leave it empty")
        return value


class LogSection(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"
    """``auto``: for people on a terminal, JSON in a pipe."""


class SupervisionSection(Section):
    """How a process that died is started again; the delay doubles with every death in a row."""

    first_s: float = Field(default=0.1, gt=0)
    most_s: float = Field(default=3.0, gt=0)
    healthy_s: float = Field(default=10.0, gt=0)
    """A process that lived this long starts anew with the first delay."""


class Settings(Section):
    """Everything that ``meterwan.toml`` may hold."""

    data_dir: Path = Path("./data")
    region: str = "RU864"
    http: HttpSettings = HttpSettings()
    gateways: GatewaysSettings = GatewaysSettings()
    network: NetworkSection = NetworkSection()  # type: ignore[valid-type]
    application: ApplicationSection = ApplicationSection()  # type: ignore[valid-type]
    joinserver: JoinServerSettings = JoinServerSettings()
    database: DatabaseSection = DatabaseSection()
    redis: EmbeddedOnly = EmbeddedOnly()
    log: LogSection = LogSection()
    supervision: SupervisionSection = SupervisionSection()

    def for_network(self) -> NetworkSettings:
        """What the network process is told."""
        return NetworkSettings(
            data_dir=self.data_dir,
            region=self.region,
            gateways=self.gateways,
            **{name: getattr(self.network, name) for name in NetworkSection.model_fields},
        )

    def for_application(self) -> ApplicationSettings:
        """What the application process is told."""
        return ApplicationSettings(
            data_dir=self.data_dir,
            database_url=self.database.url,
            http=self.http,
            **{name: getattr(self.application, name) for name in ApplicationSection.model_fields},
        )


@dataclass(slots=True)
class Loaded:
    """Settings together with where each given key came from."""

    settings: Settings
    origins: dict[Key, str] = field(default_factory=dict)
    """Origin of each key that was given; every other key has its default."""
    file: Path | None = None
    overrides: tuple[str, ...] = ()

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Every key as (name, value with secrets masked, origin)."""
        for key, value in leaves(self.settings):
            yield ".".join(key), shown(key, value), self.origins.get(key, "default")


def leaves(model: BaseModel, prefix: Key = ()) -> Iterator[tuple[Key, Any]]:
    """All keys of a settings model with their values, sections opened up, in the order of the model."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from leaves(value, (*prefix, name))
        else:
            yield (*prefix, name), value


def is_secret(key: Key) -> bool:
    """Whether a value under this key is never shown."""
    return any(re.search(r"(^|_)(secret|password|token|keks?|app_key|nwk_key)$", part) for part in key)


def shown(key: Key, value: Any) -> str:
    """A value as ``meterwan check`` prints it: TOML-like, secrets and passwords inside URLs masked."""
    if is_secret(key) and value:
        return '"********"'
    if isinstance(value, str) and "://" in value and (password := urlsplit(value).password):
        value = value.replace(f":{password}@", ":********@", 1)
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)


def load(
    file: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    overrides: Iterable[str] = (),
) -> Loaded:
    """Put the sources together: defaults, then the file, then the environment, then ``--set section.key=value``.

    ``file`` None means ``meterwan.toml`` of the working folder when there is one. Raises SettingsError.
    """
    overrides = tuple(overrides)
    if file is None and DEFAULT_FILE.is_file():
        file = DEFAULT_FILE
    tree: dict[str, Any] = {}
    origins: dict[Key, str] = {}
    if file is not None:
        overlay(tree, origins, _read_file(file), str(file))
    for name, text in sorted(environment.items()):
        if name.upper().startswith(ENVIRONMENT_PREFIX):
            key = tuple(name[len(ENVIRONMENT_PREFIX) :].lower().split("__"))
            overlay(tree, origins, nested(key, from_text(text)), name)
    for item in overrides:
        name, equals, text = item.partition("=")
        if not equals or not name:
            raise SettingsError([f"--set {item}: write it as section.key=value"])
        overlay(tree, origins, nested(tuple(name.strip().split(".")), from_text(text)), f"--set {name.strip()}")
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        raise SettingsError([_explain(problem, origins) for problem in error.errors()]) from None
    lines = [*_placeholders(settings, origins), *_unknown_region(settings, origins)]
    if lines:
        raise SettingsError(lines)
    return Loaded(settings, origins, file, overrides)


def _read_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError([f"cannot read the settings file {file}: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"the settings file {file} is not TOML: {error}"]) from None


def from_text(text: str) -> Any:
    """A value from the environment or the command line: lists and tables as TOML, everything else as written."""
    if text[:1] in ("[", "{"):
        try:
            return tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            return text
    return text


def nested(key: Key, value: Any) -> dict[str, Any]:
    """``("a", "b"), 1`` → ``{"a": {"b": 1}}``."""
    for name in reversed(key):
        value = {name: value}
    return dict(value)


def overlay(
    tree: dict[str, Any], origins: dict[Key, str], source: dict[str, Any], origin: str, prefix: Key = ()
) -> None:
    """Lay ``source`` over ``tree``, noting the origin of every value it brings."""
    for name, value in source.items():
        key = (*prefix, name)
        below = tree.get(name)
        if isinstance(value, dict):
            if not isinstance(below, dict):
                below = tree[name] = {}
            origins[key] = origin
            overlay(below, origins, value, origin, key)
        else:
            tree[name] = value
            origins[key] = origin


def _explain(problem: Any, origins: dict[Key, str]) -> str:
    """One line for one wrong key."""
    key: Key = tuple(str(part) for part in problem["loc"])
    origin = next((origins[key[:n]] for n in range(len(key), 0, -1) if key[:n] in origins), "default")
    name = ".".join(key)
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key[-1], _names_at(key[:-1]), n=1)
        hint = f"; did you mean {'.'.join((*key[:-1], near[0]))}?" if near else ""
        return f"{name} ({origin}): no such setting{hint}"
    message = problem["msg"].removeprefix("Value error, ")
    value = f" = {shown(key, problem['input'])}" if isinstance(problem["input"], (str, int, float)) else ""
    return f"{name}{value} ({origin}): {message[:1].lower()}{message[1:]}"


def _names_at(prefix: Key) -> list[str]:
    model: type[BaseModel] = Settings
    for name in prefix:
        annotation = model.model_fields[name].annotation if name in model.model_fields else None
        candidates = [annotation, *get_args(annotation)]
        section = next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)
        if section is None:
            return []
        model = section
    return list(model.model_fields)


def _placeholders(settings: Settings, origins: dict[Key, str]) -> Iterator[str]:
    for key, value in leaves(settings):
        if not isinstance(value, str):
            continue
        secret = value if is_secret(key) else (urlsplit(value).password or "" if "://" in value else "")
        if secret.lower() in PLACEHOLDERS:
            yield f"{'.'.join(key)} ({origins.get(key, 'default')}): holds a placeholder; put a real secret there"


def _unknown_region(settings: Settings, origins: dict[Key, str]) -> Iterator[str]:
    """Whether region and preset exist, also among the operator's own plans in ``regions`` of the data folder."""
    import regional

    own = settings.data_dir / "regions"
    regional.use_folder(own if own.is_dir() else None)
    if settings.region not in regional.names():
        known = ", ".join(regional.names())
        yield f'region = "{settings.region}" ({origins.get(("region",), "default")}): no such region; there are {known}'
        return
    try:
        presets = regional.plan(settings.region).presets
    except regional.PlanError as error:
        yield f"region plan {settings.region}: {error}"
        return
    channels = settings.for_network().channels
    if channels != "default" and channels not in presets:
        known = ", ".join(sorted({"default", *presets}))
        origin = origins.get(("network", "channels"), "default")
        yield f'network.channels = "{channels}" ({origin}): {settings.region} has no such preset; there are {known}'
