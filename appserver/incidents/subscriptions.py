"""Who is told of incidents: by e-mail, by a Telegram-compatible webhook, on the web page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlmodel import select

from appserver.auth.roles import Role
from appserver.db import Connection, Database
from appserver.errors import RegistryError
from appserver.incidents.kinds import KINDS, SEVERITIES
from appserver.incidents.store import Change
from appserver.integrations.addresses import AllowList, check_url
from appserver.models import Subscription

CHANNELS = ("email", "telegram", "page")
FIELDS = (
    "channel",
    "role",
    "building_id",
    "kinds",
    "severity",
    "target",
    "chat",
    "language",
    "digest_minutes",
    "enabled",
)
_MAIL = re.compile(r"[^@\s<>,;\"]+@[^@\s<>,;\"]+\.[^@\s<>,;\"]+")


def _check(values: Mapping[str, Any], allow: AllowList) -> dict[str, Any]:
    found = {name: values[name] for name in FIELDS if name in values}
    checks: tuple[tuple[str, Sequence[str]], ...] = (
        ("channel", CHANNELS),
        ("role", [role.value for role in Role]),
        ("severity", SEVERITIES),
        ("language", ("ru", "en")),
    )
    for name, known in checks:
        if name in found and found[name] not in known:
            raise RegistryError("invalid", name, f"{name}: must be one of {', '.join(known)}.")
    for kind in str(found.get("kinds", "")).split():
        if kind not in KINDS:
            raise RegistryError("invalid", "kinds", f"kinds: must be one of {', '.join(KINDS)}.")
    target = str(found.get("target", ""))
    if found.get("channel") == "email" and target and not _MAIL.fullmatch(target):
        raise RegistryError(
            "invalid", "target", "target: must be a mail address, or empty for all people with the role."
        )
    if not 0 <= int(found.get("digest_minutes", 0)) <= 1440:
        raise RegistryError("invalid", "digest_minutes", "digest_minutes: must be 0 to 1440.")
    if found.get("channel") == "telegram" and (problem := check_url(target, allow)):
        raise RegistryError("invalid", "target", f"target: {problem}.")
    return found


def add_subscription(
    db: Database, values: Mapping[str, Any], now_us: int, allow: AllowList | None = None
) -> Subscription:
    """A new subscription; it is told of what happens from now on. Raises RegistryError ``invalid``."""
    if "channel" not in values:
        raise RegistryError("invalid", "channel", "channel: a subscription needs one.")
    checked = _check(values, allow or AllowList())
    with db.writing() as session:
        made = Subscription(**checked, created_at_us=now_us)
        session.add(made)
        session.flush()
        return made


def remove_subscription(db: Database, subscription_id: int) -> None:
    """Forget a subscription and its notices. Raises RegistryError ``not_found``."""
    with db.transaction() as connection:
        connection.execute("DELETE FROM notice WHERE subscription_id = ?", (subscription_id,))
        if not connection.execute("DELETE FROM subscription WHERE id = ?", (subscription_id,)).rowcount:
            raise RegistryError("not_found", "id", f"There is no subscription {subscription_id}.")


def subscriptions(db: Database) -> list[Subscription]:
    """All subscriptions."""
    with db.reading() as session:
        return list(session.exec(select(Subscription).order_by(Subscription.id)).all())  # type: ignore[arg-type]


def wants(subscription: Subscription, kind: str, building_id: int | None) -> bool:
    """Whether a subscription is to be told of a kind at a building."""
    return (
        subscription.enabled
        and (subscription.building_id is None or subscription.building_id == building_id)
        and (not subscription.kinds or kind in subscription.kinds.split())
        and SEVERITIES.index(KINDS[kind].severity) >= SEVERITIES.index(subscription.severity)
    )


def pointed_out(found: Sequence[Subscription], role: Role, kind: str, building_id: int | None) -> bool:
    """Whether the pages of somebody with ``role`` point an incident out; without any such subscription they do all."""
    pages = [subscription for subscription in found if subscription.channel == "page" and subscription.enabled]
    mine = [subscription for subscription in pages if role.includes(Role(subscription.role))]
    return not pages or any(wants(subscription, kind, building_id) for subscription in mine)


def enqueue_notices(
    connection: Connection, found: Sequence[Subscription], changes: Sequence[Change], now_us: int
) -> int:
    """Notices of what a round changed, written with it. Returns how many. Needs an open transaction."""
    rows = []
    for change in changes:
        building = connection.execute(
            "SELECT building_id FROM incident WHERE id = ?", (change.incident_id,)
        ).fetchone()[0]
        rows += [
            (change.incident_id, subscription.id, change.change, now_us)
            for subscription in found
            if subscription.channel != "page" and wants(subscription, change.kind, building)
        ]
    connection.executemany(
        "INSERT INTO notice (incident_id, subscription_id, change, at_us, state, attempts,"
        " next_attempt_at_us, error) VALUES (?, ?, ?, ?, 'pending', 0, 0, '') ON CONFLICT DO NOTHING",
        rows,
    )
    return len(rows)
