"""Statements as PDF, with fonts of our own so that Cyrillic is there on every machine."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import LongTable, Paragraph, SimpleDocTemplate, Spacer, TableStyle

from appserver.reports.statement import Cell, Statement
from appserver.reports.words import word

FONTS = Path(__file__).parent / "fonts"
SANS, BOLD = "DejaVuSans", "DejaVuSans-Bold"
MARGIN = 12 * mm


@cache
def register_fonts() -> None:
    """Make the fonts known to the PDF library."""
    for name in (SANS, BOLD):
        pdfmetrics.registerFont(TTFont(name, str(FONTS / f"{name}.ttf")))


class _NumberedCanvas(Canvas):
    """Writes “page n of m” when it is known how many there are."""

    def __init__(self, *args: Any, label: tuple[str, str] = ("", ""), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._label = label
        self._pages: list[dict[str, Any]] = []

    def showPage(self) -> None:
        self._pages.append(dict(self.__dict__))
        self._startPage()  # type: ignore[attr-defined]

    def save(self) -> None:
        for number, page in enumerate(self._pages, 1):
            self.__dict__.update(page)
            self.setFont(SANS, 7)
            page_word, of_word = self._label
            text = f"{page_word} {number} {of_word} {len(self._pages)}"
            self.drawRightString(landscape(A4)[0] - MARGIN, 6 * mm, text)
            super().showPage()
        super().save()


def render_pdf(
    statement: Statement, shown: Callable[[Cell, str, int], str], decimals: list[int], fingerprint: str
) -> bytes:
    """The statement on A4 landscape; the same statement gives the same bytes."""
    register_fonts()
    language = statement.language
    title = ParagraphStyle("title", fontName=BOLD, fontSize=13, leading=16, spaceAfter=4)
    small = ParagraphStyle("small", fontName=SANS, fontSize=8, leading=10)
    cell = ParagraphStyle("cell", fontName=SANS, fontSize=7, leading=8.5)
    right = ParagraphStyle("right", parent=cell, alignment=TA_RIGHT)
    head = ParagraphStyle("head", parent=cell, fontName=BOLD)
    summary = ParagraphStyle("summary", parent=head)
    summary_right = ParagraphStyle("summary_right", parent=head, alignment=TA_RIGHT)

    def line(row: tuple[Cell, ...], left: ParagraphStyle, number: ParagraphStyle) -> list[Paragraph]:
        return [
            Paragraph(escape(shown(value, language, digits)), number if column.number else left)
            for column, value, digits in zip(statement.columns, row, decimals, strict=True)
        ]

    data = [[Paragraph(escape(column.title), head) for column in statement.columns]]
    data += [line(row, cell, right) for row in statement.rows]
    data += [line(row, summary, summary_right) for row in statement.totals]
    width = landscape(A4)[0] - 2 * MARGIN
    widths = [column.width * width / sum(c.width for c in statement.columns) for column in statement.columns]
    table = LongTable(data, colWidths=widths, repeatRows=1)
    table.setStyle(
        TableStyle(
            [
                ("GRID", (0, 0), (-1, -1), 0.4, colors.HexColor("#9aa5b1")),
                ("BACKGROUND", (0, 0), (-1, 0), colors.HexColor("#e8eef4")),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("TOPPADDING", (0, 0), (-1, -1), 1.5),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
                ("LEFTPADDING", (0, 0), (-1, -1), 3),
                ("RIGHTPADDING", (0, 0), (-1, -1), 3),
            ]
        )
    )
    story: list[Any] = [Paragraph(escape(statement.title), title)]
    story += [
        Paragraph(f'<font name="{BOLD}">{escape(label)}:</font> {escape(value)}', small)
        for label, value in statement.header
    ]
    story += [Spacer(1, 4 * mm), table, Spacer(1, 6 * mm)]
    for note in (*statement.notes, *statement.signatures):
        story += [Paragraph(escape(note), small), Spacer(1, 4 * mm)]
    story.append(Paragraph(escape(fingerprint), ParagraphStyle("print", parent=small, fontSize=6)))
    buffer = io.BytesIO()
    document = SimpleDocTemplate(
        buffer,
        pagesize=landscape(A4),
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=MARGIN,
        bottomMargin=MARGIN,
        title=statement.title,
        author="MeterWAN",
        invariant=1,
    )
    label = (word("page", language), word("page.of", language))
    document.build(story, canvasmaker=lambda *a, **k: _NumberedCanvas(*a, label=label, **k))
    return buffer.getvalue()
