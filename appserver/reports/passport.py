"""FR-07: the passport of a meter (паспорт прибора учёта): all that is written down about it, for JSON, print and PDF."""

from __future__ import annotations

import io
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import Image, KeepTogether, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.models.columns import from_micro
from appserver.models.registry import UNITS
from appserver.reports.pdf import BOLD, SANS, register_fonts
from appserver.reports.words import word
from appserver.residents import photos

NEWEST_READINGS = 1000
PRINTED_READINGS = 12
PRINTED_PHOTOS = 4

_METER = (
    "serial, manufacturer, model, resource, type_number, made_year, dn_mm, q3, qmax, qstart, accuracy, digits,"
    " pulse_weight, verification_months, firmware, state, verified_on, verification_until"
)
_MICRO = ("q3", "qmax", "qstart", "start_value", "end_value", "value")
_INSTALLATIONS = (
    "id, address, premises, point, installed_on, start_value, install_act, installed_by, commissioned_on,"
    " commission_act, removed_on, end_value, removal_act, removed_by, removal_reason, ratio"
)
_VERIFICATIONS = "verified_on, valid_until, result, document, arshin_number, organisation, remark"
_SEALS = "number, place, set_on, set_by, set_act, removed_on, removed_by, removed_act, remark"


def _names(columns: str) -> list[str]:
    return [name.strip() for name in columns.split(",")]


@dataclass(frozen=True, slots=True)
class Passport:
    """Everything about a meter. Values are texts, numbers and dates as ISO texts; moments are ``*_us``."""

    meter_id: int
    unit: str
    timezone: str
    """Of the building where it hangs or last hung."""
    facts: dict[str, Any]
    verifications: list[dict[str, Any]] = field(default_factory=list)
    seals: list[dict[str, Any]] = field(default_factory=list)
    installations: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    """Incidents of the meter."""
    modules: list[dict[str, Any]] = field(default_factory=list)
    """Radio modules that count it or did."""
    photos: list[dict[str, Any]] = field(default_factory=list)
    readings: list[dict[str, Any]] = field(default_factory=list)
    """The newest thousand."""


def passport_of(
    db: Database, meter_id: int, installations: Collection[int] | None = None, since_us: int = 0
) -> Passport:
    """The passport of a meter. Raises RegistryError ``not_found``.

    ``installations`` leaves only those of a reader who may not see the others, with the readings and events since the first
    of them and not before ``since_us``.
    """
    rows = db.rows(f"SELECT {_METER} FROM meter WHERE id = ?", (meter_id,))
    if not rows:
        raise RegistryError("not_found", "id", f"There is no meter {meter_id}.")
    facts = _dict(_METER, rows[0])
    hung = db.rows(
        "SELECT i.id, b.address, coalesce(r.number, ''), p.name, i.installed_on, i.start_value, i.install_act,"
        " i.installed_by, i.commissioned_on, i.commission_act, i.removed_on, i.end_value, i.removal_act, i.removed_by,"
        " i.removal_reason, i.ratio, i.installed_at_us, b.timezone FROM installation i JOIN point p ON p.id = i.point_id"
        " JOIN building b ON b.id = p.building_id LEFT JOIN premises r ON r.id = p.premises_id WHERE i.meter_id = ?"
        " ORDER BY i.installed_at_us DESC",
        (meter_id,),
    )
    first_us = since_us
    if installations is not None:
        hung = [row for row in hung if row[0] in installations]
        first_us = max(since_us, min((row[16] for row in hung), default=2**62))
    return Passport(
        meter_id,
        UNITS[facts["resource"]],
        hung[0][17] if hung else "UTC",
        facts,
        _list(db, _VERIFICATIONS, "meter_verification", meter_id, "verified_on DESC, id DESC"),
        _list(db, _SEALS, "meter_seal", meter_id, "set_on DESC, id DESC"),
        [_dict(_INSTALLATIONS, row[:16]) for row in hung],
        [
            dict(zip(("kind", "severity", "started_at_us", "ended_at_us"), row, strict=True))
            for row in db.rows(
                "SELECT kind, severity, started_at_us, ended_at_us FROM incident WHERE meter_id = ? AND started_at_us >= ?"
                " ORDER BY started_at_us DESC LIMIT 200",
                (meter_id, first_us),
            )
        ],
        []
        if installations is not None
        else [
            dict(zip(("dev_eui", "channel", "valid_from_us", "valid_until_us"), row, strict=True))
            for row in db.rows(
                "SELECT dev_eui, channel, valid_from_us, valid_until_us FROM module_channel WHERE meter_id = ?"
                " ORDER BY valid_from_us DESC",
                (meter_id,),
            )
        ],
        photos.photos(db, meter_id),
        [
            _dict("register, measured_at_us, value, quality, source", row)
            for row in db.rows(
                "SELECT register, measured_at_us, value_micro, quality, source FROM reading WHERE meter_id = ?"
                " AND measured_at_us >= ? ORDER BY measured_at_us DESC LIMIT ?",
                (meter_id, first_us, NEWEST_READINGS),
            )
        ],
    )


def _list(db: Database, columns: str, table: str, meter_id: int, order: str) -> list[dict[str, Any]]:
    rows = db.rows(f"SELECT {columns} FROM {table} WHERE meter_id = ? ORDER BY {order}", (meter_id,))
    return [_dict(columns, row) for row in rows]


def _dict(columns: str, row: tuple[Any, ...]) -> dict[str, Any]:
    found: dict[str, Any] = dict(zip(_names(columns), row, strict=True))
    for name, value in found.items():
        if name in _MICRO and value is not None:
            found[name] = format(from_micro(value), "f")
        elif isinstance(value, date):
            found[name] = value.isoformat()
    return found


# ----------------------------------------------------------------------------------------------------------------- PDF

_REGISTERS = ("volume", "volume_reverse", "energy", "heat")
_SHOWN = (
    "serial", "manufacturer", "model", "type_number", "made_year", "dn_mm", "q3", "qmax", "qstart", "accuracy", "digits",
    "pulse_weight", "verification_months", "firmware", "verified_on", "verification_until",
)  # fmt: skip


def passport_pdf(db: Database, passport: Passport, language: str, printed_on: date) -> bytes:
    """The form «Паспорт прибора учёта» on A4."""
    register_fonts()
    small = ParagraphStyle("small", fontName=SANS, fontSize=8, leading=10)
    bold = ParagraphStyle("bold", parent=small, fontName=BOLD)
    head = ParagraphStyle("head", fontName=BOLD, fontSize=10, leading=13, spaceBefore=8, spaceAfter=3)
    title = ParagraphStyle("title", fontName=BOLD, fontSize=14, leading=18, spaceAfter=6)

    def say(key: str) -> str:
        return word(f"passport.{key}", language)

    def named(register: str) -> str:
        return say(f"register.{register}") if register in _REGISTERS else register

    def table(heads: list[str], rows: list[list[Any]], widths: list[float]) -> Table:
        data = [[Paragraph(escape(text), bold) for text in heads]] if heads else []
        data += [[Paragraph(escape(_text(cell, language)), small) for cell in row] for row in rows]
        made = Table(data, colWidths=[width * mm for width in widths], repeatRows=1 if heads else 0)
        made.setStyle(
            TableStyle(
                [
                    ("GRID", (0, 0), (-1, -1), 0.4, colors.HexColor("#9aa5b1")),
                    ("VALIGN", (0, 0), (-1, -1), "TOP"),
                    ("TOPPADDING", (0, 0), (-1, -1), 1.5),
                    ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
                ]
            )
        )
        return made

    facts = passport.facts
    story: list[Any] = [Paragraph(escape(f"{say('title')} № {facts['serial']}"), title)]
    unit = word(f"u.{passport.unit}", language)
    kind = word(f"r.{facts['resource']}", language)
    story.append(table([], [[say("resource"), f"{kind}, {unit}"], *([say(n), facts[n]] for n in _SHOWN)], [70, 116]))
    for name, columns, rows, widths in (
        (
            "installations",
            ("place", "installed_on", "commissioned_on", "removed_on"),
            _hung(passport),
            (66, 44, 34, 42),
        ),
        (
            "verifications",
            ("verified_on", "valid_until", "result", "document", "organisation"),
            [
                [
                    v["verified_on"],
                    v["valid_until"],
                    say(v["result"]),
                    _both(v["arshin_number"], v["document"]),
                    v["organisation"],
                ]
                for v in passport.verifications
            ],
            (26, 26, 22, 58, 54),
        ),
        (
            "seals",
            ("seal", "set_on", "removed_on"),
            [
                [
                    _both(s["number"], s["place"]),
                    _both(s["set_on"], s["set_by"], s["set_act"]),
                    _both(s["removed_on"], s["removed_by"], s["removed_act"]),
                ]
                for s in passport.seals
            ],
            (62, 62, 62),
        ),
    ):
        story.append(Paragraph(escape(say(name)), head))
        story.append(table([say(column) for column in columns], rows, list(widths)) if rows else Paragraph("–", small))
    if passport.readings:
        story.append(Paragraph(escape(say("readings")), head))
        shown = [
            [_moment(r["measured_at_us"], passport.timezone), named(r["register"]), r["value"]]
            for r in passport.readings[:PRINTED_READINGS]
        ]
        story.append(table([say("at"), say("register"), say("value")], shown, [62, 62, 62]))
    for one in passport.photos[:PRINTED_PHOTOS]:
        width = min(80.0, 60.0 * one["width"] / one["height"])
        picture = Image(io.BytesIO(photos.pixels(db, one["id"])), width * mm, width * one["height"] / one["width"] * mm)
        caption = Paragraph(escape(_both(one["taken_on"], one["remark"])), small)
        story.append(KeepTogether([Spacer(1, 3 * mm), picture, caption]))
    story += [
        Spacer(1, 8 * mm),
        Paragraph(escape(f"{say('printed')} {_text(printed_on.isoformat(), language)}"), small),
    ]
    story.append(Paragraph(escape(say("signature")), small))
    out = io.BytesIO()
    margins = dict.fromkeys(("leftMargin", "rightMargin", "topMargin", "bottomMargin"), 12 * mm)
    SimpleDocTemplate(out, pagesize=A4, title=f"{say('title')} № {facts['serial']}", invariant=1, **margins).build(
        story
    )
    return out.getvalue()


def _hung(passport: Passport) -> list[list[Any]]:
    return [
        [
            _both(place["address"], place["premises"], place["point"]),
            _both(place["installed_on"], place["start_value"], place["install_act"], place["installed_by"]),
            _both(place["commissioned_on"], place["commission_act"]),
            _both(place["removed_on"], place["end_value"], place["removal_act"], place["removal_reason"]),
        ]
        for place in passport.installations
    ]


def _both(*parts: Any) -> str:
    return ", ".join(str(part) for part in parts if part not in (None, ""))


def _text(value: Any, language: str) -> str:
    if value in (None, ""):
        return "–"
    text = re.sub(r"\b(\d{4})-(\d\d)-(\d\d)\b", r"\3.\2.\1", str(value)) if language == "ru" else str(value)
    return text.replace(".", ",") if language == "ru" and text.replace(".", "", 1).isdigit() and "." in text else text


def _moment(at_us: int, zone: str) -> str:
    return datetime.fromtimestamp(at_us / 1_000_000, ZoneInfo(zone)).strftime("%d.%m.%Y %H:%M")
