"""The lines below a balance: who drew it, why it does not close, by which rules."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from appserver.db import Database
from appserver.metering.balance import Balance
from appserver.metering.explain import Explanation, explain_balance, norm_a_person, norm_rule
from appserver.metering.parts import parts_of
from appserver.rules.entered import rule_book

Words = Callable[[str], str]


def made_of(db: Database, balance: Balance, say: Words, explanation: Explanation | None = None) -> list[str]:
    """Volumes by kind of premises, common needs of a whole month, causes of the imbalance, versions of the rules used.

    ``explanation`` where it is known already.
    """
    if balance.total.house is None:
        return []
    book = rule_book(db)
    explanation = explanation or explain_balance(db, balance, norm_a_person(book, balance))
    parts = parts_of(db, balance, explanation, book)
    unit = say(f"u.{balance.unit}")

    def line(key: str, value: Decimal | None, more: str = "") -> str:
        return f"{say(key)}: {'—' if value is None else format(value, 'f')} {unit}{more}"

    lines = [
        line("part.flats", parts.flats),
        line("part.nonresidential", parts.nonresidential),
        line("part.common", parts.common),
        line("part.unmetered", parts.unmetered, f" ({parts.unmetered_count})"),
        line("part.left", parts.left),
    ]
    used = [rule.version for rule in [norm_rule(book, balance)] if rule is not None]
    if parts.needs is not None:
        needs = parts.needs
        cut = f" ({say('part.cut')})" if needs.capped else ""
        lines += [line("part.by_norm", needs.by_norm), line("part.needs", needs.charged, cut)]
        used += [version for version in needs.rules if version not in used]
    if explanation is not None:
        lines += [line(f"cause.{row.cause}", row.volume) for row in explanation.rows if row.volume]
    sources = {rule.version: rule.source for rule in book.rules}
    return [*lines, *(f"{say('rule')}: {version} — {sources[version]}" for version in used)]
