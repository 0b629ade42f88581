"""What follows from an import of the table of meters: the histories behind its columns, and the lines of the journal."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from appserver.metering.timebase import date_of
from appserver.registry.journal import shown

DAY_US = 86_400_000_000
_SUBJECTS = ("organisation", "building", "premises", "point", "meter")
_LINE = (
    "INSERT INTO registry_event (recorded_at_us, effective_on, actor, subject, subject_id, event, field, before, after,"
    " document, remark) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '', '')"
)

_HISTORIES = (
    # The dates of a meter are those of a verification.
    "UPDATE meter_verification SET valid_until = (SELECT m.verification_until FROM meter m"
    " WHERE m.id = meter_verification.meter_id) WHERE result = 'fit' AND EXISTS (SELECT 1 FROM meter m"
    " WHERE m.id = meter_verification.meter_id AND m.verified_on = meter_verification.verified_on"
    " AND m.verification_until IS NOT NULL AND m.verification_until <> coalesce(meter_verification.valid_until, '1900-01-01'))",
    "INSERT INTO meter_verification (meter_id, verified_on, valid_until, result, document, arshin_number, organisation,"
    " remark) SELECT m.id, m.verified_on, m.verification_until, 'fit', '', '', '', '' FROM meter m"
    " WHERE (m.verified_on IS NOT NULL OR m.verification_until IS NOT NULL) AND NOT EXISTS (SELECT 1"
    " FROM meter_verification v WHERE v.meter_id = m.id AND (v.verified_on = m.verified_on OR (v.verified_on IS NULL"
    " AND m.verified_on IS NULL) OR v.result = 'unfit'))",
    "UPDATE meter SET state = 'installed' WHERE state IN ('ordered', 'in_stock', 'removed', 'repair')"
    " AND id IN (SELECT meter_id FROM installation WHERE removed_at_us IS NULL)",
)

_ACCOUNTS = (
    "INSERT INTO account (premises_id, number, unified_number, service_id, holder) SELECT p.id, p.account_number, '', '',"
    " '' FROM premises p WHERE p.account_number <> '' AND NOT EXISTS (SELECT 1 FROM account a"
    " WHERE a.premises_id = p.id AND a.number = p.account_number) RETURNING id, number"
)
_UNTOLD = frozenset({"installed_at_us"})
"""It follows from another column."""

New = Iterable[tuple[str, int, dict[str, Any]]]
Changed = Iterable[tuple[str, int, dict[str, Any], dict[str, Any], dict[str, Any]]]


def settle(connection: Any, now_us: int, new: New, changed: Changed = (), actor: str = "import") -> None:
    """In the transaction of the import. ``new``: (table, id, values) of what it created.

    ``changed``: (table, id, values, before, after) of what was there. Every column that differs has its line; what belongs
    to an installation or a channel stands in the journal of its meter.
    """
    for statement in _HISTORIES:
        connection.execute(statement)
    today = date_of(now_us // DAY_US).isoformat()
    lines: list[tuple[Any, ...]] = []

    def tell(
        subject: str, id_: int, event: str, field: str = "", before: Any = None, after: Any = "", on: str = ""
    ) -> None:
        lines.append((now_us, on or today, actor, subject, id_, event, field, shown(before), shown(after)))

    for id_, number in connection.execute(_ACCOUNTS).fetchall():
        tell("account", id_, "created", after=json.dumps({"number": number}, ensure_ascii=False))
    for table, id_, values in new:
        if table in _SUBJECTS:
            told = {name: shown(value) for name, value in values.items() if value not in (None, "")}
            tell(table, id_, "created", after=json.dumps(told, ensure_ascii=False))
        elif table == "installation":
            for subject, event in (("meter", "installed"), ("point", "meter_installed")):
                tell(subject, values[f"{subject}_id"], event, on=str(values["installed_on"]))
    for table, id_, values, before, after in changed:
        subject, of = (table, id_) if table in _SUBJECTS else ("meter", values["meter_id"])
        prefix = "channel." if table == "module_channel" else ""
        for name in sorted(before.keys() - _UNTOLD):
            if before[name] != after[name]:
                tell(subject, of, "changed", prefix + name, before[name], after[name])
    connection.executemany(_LINE, lines)
