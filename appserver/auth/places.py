"""Where the things of the registry are: SQL that leads from a kind and a number to building, premises and resource."""

from __future__ import annotations

from datetime import date, timedelta

from appserver.auth.grants import Operation, Scope
from appserver.db import Database
from appserver.metering.resident import Stay

OWN_DAYS = (date.max, date.min)
"""Any grant covers them: the object has days of its own, which must touch the grant's."""

_METER = (
    "SELECT p.building_id AS building, p.premises_id AS premises, p.resource AS resource, i.installed_on AS began,"
    " i.removed_on AS ended FROM installation i JOIN point p ON p.id = i.point_id WHERE i.meter_id {of}"
)
_NO_DAYS = "CAST(NULL AS DATE) AS began, CAST(NULL AS DATE) AS ended"
_AS_A_WHOLE = f"CAST(NULL AS BIGINT) AS premises, '' AS resource, {_NO_DAYS}"
PLACES: dict[str, str] = {
    "organisation": f"SELECT b.id AS building, {_AS_A_WHOLE} FROM building b WHERE b.organisation_id = ?",
    "building": f"SELECT b.id AS building, {_AS_A_WHOLE} FROM building b WHERE b.id = ?",
    "entrance": f"SELECT e.building_id AS building, {_AS_A_WHOLE} FROM entrance e WHERE e.id = ?",
    "premises": f"SELECT r.building_id AS building, r.id AS premises, '' AS resource, {_NO_DAYS} FROM premises r"
    " WHERE r.id = ?",
    "account": f"SELECT r.building_id AS building, r.id AS premises, '' AS resource, {_NO_DAYS} FROM account a"
    " JOIN premises r ON r.id = a.premises_id WHERE a.id = ?",
    "point": f"SELECT p.building_id AS building, p.premises_id AS premises, p.resource AS resource, {_NO_DAYS}"
    " FROM point p WHERE p.id = ?",
    "meter": _METER.format(of="= ?"),
    "hung": _METER.format(of="= ?") + " AND i.removed_at_us IS NULL",
    "installation": _METER.replace("i.meter_id {of}", "i.id = ?"),
    "seal": _METER.format(of="= (SELECT s.meter_id FROM meter_seal s WHERE s.id = ?)"),
    "verification": _METER.format(of="= (SELECT v.meter_id FROM meter_verification v WHERE v.id = ?)"),
    "device": _METER.format(
        of="IN (SELECT c.meter_id FROM module_channel c WHERE c.dev_eui = ? AND c.valid_until_us IS NULL)"
    )
    + " AND i.removed_at_us IS NULL",
    "incident": "SELECT n.building_id AS building, n.premises_id AS premises, coalesce(p.resource, m.resource, '')"
    f" AS resource, {_NO_DAYS} FROM incident n LEFT JOIN point p ON p.id = n.point_id LEFT JOIN meter m ON m.id = n.meter_id"
    " WHERE n.id = ?",
    "photo": "SELECT p.building_id AS building, p.premises_id AS premises, p.resource AS resource, f.taken_on AS began,"
    " f.taken_on AS ended FROM photo f JOIN installation i ON i.meter_id = f.meter_id AND i.installed_on <= f.taken_on"
    " AND (i.removed_on IS NULL OR i.removed_on >= f.taken_on) JOIN point p ON p.id = i.point_id WHERE f.id = ?",
    "announcement": f"SELECT a.building_id AS building, {_AS_A_WHOLE} FROM announcement a WHERE a.id = ?",
    "ticket": f"SELECT r.building_id AS building, r.id AS premises, '' AS resource, {_NO_DAYS} FROM ticket t"
    " JOIN premises r ON r.id = t.premises_id WHERE t.id = ?",
}
"""Kind → its places. A meter has one for every installation, ``hung`` is where it hangs now; without a place an object is
nobody's but the staff's."""


def covers(
    db: Database,
    scope: Scope,
    operation: Operation | None,
    kind: str,
    key: int | str,
    first: date,
    last: date,
    resource: str = "",
) -> bool:
    """Whether a grant permits ``operation`` on one object for the days from ``first`` to ``last`` (excluded).

    ``resource`` asks for that resource of a place of all resources; ``*`` for all of them at once.
    """
    its = "x.resource" if not resource else f"CASE x.resource WHEN '' THEN '{resource}' ELSE x.resource END"
    condition = scope.sql(
        operation, "x.building", "x.premises", its, first=first, last=last, began_on="x.began", ended_on="x.ended"
    )
    found: list[tuple[int]] = db.rows(f"SELECT 1 FROM ({PLACES[kind]}) x WHERE {condition} LIMIT 1", (key,))
    return bool(found)


_LISTED: dict[str, tuple[str, str, str]] = {
    "building": ("building.id", "NULL", "''"),
    "entrance": ("entrance.building_id", "NULL", "''"),
    "premises": ("premises.building_id", "premises.id", "''"),
    "point": ("point.building_id", "point.premises_id", "point.resource"),
}


def covered_installations(db: Database, scope: Scope, operation: Operation, meter_id: int, today: date) -> set[int]:
    """Installations of a meter that a grant covers: the others are other people's."""
    condition = scope.sql(
        operation,
        "p.building_id",
        "p.premises_id",
        "p.resource",
        first=today,
        last=today + timedelta(days=1),
        began_on="i.installed_on",
        ended_on="i.removed_on",
    )
    rows = db.rows(
        f"SELECT i.id FROM installation i JOIN point p ON p.id = i.point_id WHERE i.meter_id = ? AND {condition}",
        (meter_id,),
    )
    return {row[0] for row in rows}


def listed(scope: Scope, operation: Operation, kind: str, today: date) -> str:
    """The condition of a list of the registry's ``kind``: what a grant covers today."""
    days = {"first": today, "last": today + timedelta(days=1)}
    if kind in _LISTED:
        return scope.sql(operation, *_LISTED[kind], **days)
    if kind == "organisation":
        own = scope.sql(operation, "ob.id", **days)
        return f"EXISTS (SELECT 1 FROM building ob WHERE ob.organisation_id = organisation.id AND {own})"
    if kind == "account":
        own = scope.sql(operation, "ar.building_id", "ar.id", **days)
        return f"EXISTS (SELECT 1 FROM premises ar WHERE ar.id = account.premises_id AND {own})"
    of = {
        "meter": "si.meter_id = meter.id",
        "installation": "si.id = installation.id",
        "seal": "si.meter_id = meter_seal.meter_id",
        "verification": "si.meter_id = meter_verification.meter_id",
    }[kind]
    own = scope.sql(
        operation,
        "sp.building_id",
        "sp.premises_id",
        "sp.resource",
        began_on="si.installed_on",
        ended_on="si.removed_on",
        **days,
    )
    return f"EXISTS (SELECT 1 FROM installation si JOIN point sp ON sp.id = si.point_id WHERE {of} AND {own})"


def stays_at(db: Database, scope: Scope | None, premises_id: int, today: date) -> list[Stay]:
    """What a person may see of a flat: a stay for each grant that reaches it; staff sees it whole."""
    if scope is None:
        return [Stay()]
    found: dict[tuple[str, date | None, date | None], Stay] = {}
    for grant in scope.grants:
        if covers(db, Scope((grant,)), Operation.read, "premises", premises_id, *OWN_DAYS):
            now = grant.holds(None, today, today + timedelta(days=1))
            stay = Stay(grant.since, grant.until, grant.resource, now)
            found.setdefault((grant.resource, grant.since, grant.until), stay)
    whole = found.get(("", None, None))
    return [whole] if whole else list(found.values())
