"""Sources as people manage them."""

from __future__ import annotations

from collections.abc import Mapping as Values
from typing import Any

from pydantic import ValidationError
from sqlmodel import select

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.integrations.addresses import AllowList
from appserver.models import Source
from appserver.models.sources import SOURCE_KINDS
from appserver.mqtt import check_broker
from appserver.sources.mapping import Mapping

ORIGINS = ("gprs", "import", "gis")
FIELDS = ("kind", "name", "url", "username", "password", "ca", "topics", "mapping", "origin", "enabled")


def topic_problem(topic: str) -> str:
    """What is wrong with a topic filter, empty when nothing is."""
    levels = topic.split("/")
    if len(topic.encode()) > 500 or "\0" in topic:
        return "is too long"
    if any("#" in level and (level != "#" or n < len(levels) - 1) for n, level in enumerate(levels)):
        return "may have # only as its last level"
    if any("+" in level and level != "+" for level in levels):
        return "may have + only as a whole level"
    if levels[0].startswith("$") and levels[0] != "$share":
        return "belongs to the broker itself"
    return ""


def _check(values: Values[str, Any], allow: AllowList) -> dict[str, Any]:
    for field in values:
        if field not in FIELDS:
            raise RegistryError("invalid", field, f"{field}: a source has no such field.")
    found = dict(values)
    for field, known in (("kind", SOURCE_KINDS), ("origin", ORIGINS)):
        if field in found and found[field] not in known:
            raise RegistryError("invalid", field, f"{field}: must be one of {', '.join(known)}.")
    if "name" in found and not str(found["name"]).strip():
        raise RegistryError("invalid", "name", "name: must not be empty.")
    for topic in str(found.get("topics", "")).split():
        if problem := topic_problem(topic):
            raise RegistryError("invalid", "topics", f"topics: {topic} {problem}.")
    if "mapping" in found:
        try:
            found["mapping"] = Mapping.model_validate(found["mapping"]).model_dump(mode="json", exclude_defaults=True)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(("mapping", *map(str, first["loc"])))
            raise RegistryError("invalid", where, f"{where}: {first['msg']}.") from error
    return found


def _check_whole(source: Source, allow: AllowList) -> None:
    if not source.mapping:
        raise RegistryError("invalid", "mapping", "mapping: a source needs one.")
    if source.kind == "http":
        return
    if not source.topics.split():
        raise RegistryError("invalid", "topics", "topics: a broker's source needs at least one.")
    if problem := check_broker(source.url, source.ca, allow):
        raise RegistryError("invalid", "url", f"url: {problem}.")


def _check_name(session: Any, source: Source) -> None:
    other = session.exec(select(Source).where(Source.name == source.name)).first()
    if other is not None and other.id != source.id:
        raise RegistryError("conflict", "name", "name: there is a source of this name already.")


def create_source(db: Database, values: Values[str, Any], now_us: int, allow: AllowList | None = None) -> Source:
    """A new source. Raises RegistryError ``invalid`` or ``conflict``."""
    allow = allow or AllowList()
    checked = _check(values, allow)
    for field in ("kind", "name"):
        if field not in checked:
            raise RegistryError("invalid", field, f"{field}: a source needs one.")
    source = Source(**checked, created_at_us=now_us)
    _check_whole(source, allow)
    with db.writing() as session:
        _check_name(session, source)
        session.add(source)
        session.flush()
        return source


def update_source(db: Database, source_id: int, changes: Values[str, Any], allow: AllowList | None = None) -> Source:
    """Change a source; a broker is connected anew. Raises RegistryError ``not_found``, ``invalid`` or ``conflict``."""
    allow = allow or AllowList()
    checked = _check(changes, allow)
    with db.writing() as session:
        source = session.get(Source, source_id)
        if source is None:
            raise RegistryError("not_found", "id", f"There is no source {source_id}.")
        if checked.get("kind", source.kind) != source.kind:
            raise RegistryError("invalid", "kind", "kind: it cannot change; make another source.")
        for field, value in checked.items():
            setattr(source, field, value)
        if not source.enabled:
            source.connected = False
        _check_whole(source, allow)
        with session.no_autoflush:
            _check_name(session, source)
        session.add(source)
        return source


def delete_source(db: Database, source_id: int) -> None:
    """Forget a source; its readings and the notes of its deliveries stay. Raises RegistryError ``not_found``."""
    with db.transaction() as connection:
        if not connection.execute("DELETE FROM source WHERE id = ?", (source_id,)).rowcount:
            raise RegistryError("not_found", "id", f"There is no source {source_id}.")


def sources(db: Database) -> list[Source]:
    """All sources by name."""
    with db.reading() as session:
        return list(session.exec(select(Source).order_by(Source.name)).all())


def find_source(db: Database, source_id: int) -> Source:
    """One source. Raises RegistryError ``not_found``."""
    with db.reading() as session:
        source = session.get(Source, source_id)
    if source is None:
        raise RegistryError("not_found", "id", f"There is no source {source_id}.")
    return source


def note_state(db: Database, source_id: int, connected: bool, error: str) -> None:
    """Write down how a connection stands."""
    with db.transaction() as connection:
        connection.execute(
            "UPDATE source SET connected = ?, error = ? WHERE id = ? AND (connected <> ? OR error <> ?)",
            (connected, error[:500], source_id, connected, error[:500]),
        )


def nobody_is_connected(db: Database) -> None:
    """What holds when a process starts."""
    with db.transaction() as connection:
        connection.execute("UPDATE source SET connected = ? WHERE connected", (False,))
