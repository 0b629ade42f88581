"""Charts as inline SVG, drawn by hand: lines, bars and steps need no library, and the page needs no network.

Colours are classes (``c0`` …) that the page's style sheet fills, for light and for dark. Legends are the page's, where they can
wrap. All text is escaped here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT = 420, 210
LEFT, RIGHT, TOP, BOTTOM = 46, 22, 10, 34
ROW = 22
"""Height of a horizontal bar with its gap."""
HALF_LETTER = 3.7
"""Half the width of a letter below an axis, at most."""

Format = Callable[[float], str]


@dataclass(slots=True)
class Series:
    name: str
    points: Sequence[tuple[float, float]]
    steps: bool = False
    """A value holds until the next one."""


@dataclass(slots=True)
class Axis:
    """One axis; limits that are None follow from the values."""

    label: str = ""
    low: float | None = None
    high: float | None = None
    text: Format = field(default=lambda value: f"{value:g}")
    log: bool = False
    whole: bool = False
    """Only whole numbers have a tick."""
    marks: Sequence[tuple[float, str]] = ()
    """Upright dashes: where something was done, and what."""
    time: bool = False
    """Seconds: ticks stand at whole minutes, hours, days."""


TIME_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)


def ticks(low: float, high: float, about: int = 5, whole: bool = False, time: bool = False) -> list[float]:
    """Round values between two limits."""
    if high <= low:
        return [low]
    if time:
        days = math.ceil((high - low) / about / 86_400) * 86_400
        return _multiples(low, high, next((one for one in TIME_STEPS_S if (high - low) / one <= about), days))
    step = 10.0 ** math.floor(math.log10((high - low) / about))
    for factor in (1, 2, 5, 10):
        if (high - low) / (step * factor) <= about:
            step *= factor
            break
    return _multiples(low, high, max(1.0, step) if whole else step)


def _multiples(low: float, high: float, step: float) -> list[float]:
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 10) for n in range(first, math.floor(high / step + 1e-9) + 1)]


@dataclass(slots=True)
class _Scale:
    low: float
    high: float
    start: float
    length: float
    log: bool = False

    def at(self, value: float) -> float:
        low, high = self.low, self.high
        if self.log:
            value, low, high = (math.log10(max(v, 1e-9)) for v in (value, low, high))
        share = (value - low) / (high - low) if high > low else 0.5
        return round(self.start + min(1.0, max(0.0, share)) * self.length, 1)

    def marks(self, axis: Axis) -> list[float]:
        if not self.log:
            return ticks(self.low, self.high, whole=axis.whole, time=axis.time)
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        return [v for n in range(first, last + 1) if self.low <= (v := 10.0**n) <= self.high]


def _limits(axis: Axis, values: Sequence[float]) -> tuple[float, float]:
    positive = [v for v in values if v > 0] if axis.log else list(values)
    low = min(positive, default=1.0 if axis.log else 0.0) if axis.low is None else axis.low
    high = max(positive, default=1.0) if axis.high is None else axis.high
    if axis.log:
        return 10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(max(high, low * 1.01)))
    return (low, high) if high > low else (low, low + 1)


def _svg(body: str, height: float, title: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{body}</svg>"
    )


def _text(x: float, y: float, text: str, anchor: str = "start", css: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" class="{css}">{escape(text)}</text>'


def _under(x: float, y: float, text: str) -> str:
    """The word below a mark: in its middle, unless the picture ends before the word does."""
    return (
        _text(WIDTH, y, text, "end", "dim")
        if x + len(text) * HALF_LETTER > WIDTH
        else _text(x, y, text, "middle", "dim")
    )


def lines(title: str, series: Sequence[Series], x: Axis, y: Axis) -> str:
    """Lines over an axis; an empty chart when there is no point."""
    points = [point for one in series for point in one.points]
    x_scale = _Scale(*_limits(x, [p[0] for p in points]), LEFT, WIDTH - LEFT - RIGHT, x.log)
    y_scale = _Scale(*_limits(y, [p[1] for p in points]), HEIGHT - BOTTOM, -(HEIGHT - TOP - BOTTOM), y.log)
    parts = [_grid(x_scale, y_scale, x, y)]
    for n, one in enumerate(series):
        way, before = [], None
        for px, py in one.points:
            at = x_scale.at(px), y_scale.at(py)
            if one.steps and before is not None:
                way.append(f"{at[0]:g},{before:g}")
            way.append(f"{at[0]:g},{at[1]:g}")
            before = at[1]
        parts.append(f'<polyline points="{" ".join(way)}" class="line s{n}"/>')
        if len(one.points) <= 60:
            parts += [
                f'<circle cx="{x_scale.at(px):g}" cy="{y_scale.at(py):g}" r="2.5" class="c{n}">'
                f"<title>{escape(f'{one.name}: {y.text(py)} ({x.text(px)})')}</title></circle>"
                for px, py in one.points
            ]
    return _svg("".join(parts), HEIGHT, title)


def _grid(x_scale: _Scale, y_scale: _Scale, x: Axis, y: Axis) -> str:
    bottom = HEIGHT - BOTTOM
    parts = []
    for value in y_scale.marks(y):
        at = y_scale.at(value)
        parts.append(f'<path d="M{LEFT} {at:g}H{WIDTH - RIGHT}" class="grid"/>')
        parts.append(_text(LEFT - 5, at + 4, y.text(value), "end", "dim"))
    marks = x_scale.marks(x)
    shown = marks[:: max(1, math.ceil(len(marks) / 7))]
    parts += [_under(x_scale.at(value), bottom + 15, x.text(value)) for value in shown]
    parts += [
        f'<path d="M{x_scale.at(value):g} {TOP}V{bottom}" class="mark"><title>{escape(what)}</title></path>'
        for value, what in x.marks
    ]
    parts.append(f'<path d="M{LEFT} {bottom}H{WIDTH - RIGHT}" class="axis"/>')
    if x.label:
        parts.append(_text(WIDTH - RIGHT, HEIGHT - 4, x.label, "end", "dim"))
    return "".join(parts)


def columns(title: str, labels: Sequence[str], series: Sequence[Series], y: Axis, x_label: str = "") -> str:
    """Upright bars, for each label one of each series side by side; a point's x is the number of its label."""
    values = [py for one in series for _, py in one.points]
    y_scale = _Scale(*_limits(Axis(low=0.0, high=y.high), values), HEIGHT - BOTTOM, -(HEIGHT - TOP - BOTTOM))
    place = (WIDTH - LEFT - RIGHT) / max(1, len(labels))
    width = place * 0.78 / max(1, len(series))
    empty = Axis(x_label, text=lambda value: "")
    parts = [_grid(_Scale(0, 1, LEFT, 1), y_scale, empty, y)]
    every = max(1, math.ceil(len(labels) * (2 + max((len(one) for one in labels), default=1)) * 7 / (WIDTH - LEFT)))
    for n, label in enumerate(labels):
        if n % every == 0:
            parts.append(_text(LEFT + place * (n + 0.5), HEIGHT - BOTTOM + 15, label, "middle", "dim"))
    for s, one in enumerate(series):
        for px, py in one.points:
            left, top = LEFT + place * (px + 0.11) + width * s, y_scale.at(py)
            parts.append(
                f'<rect x="{left:.1f}" y="{top:g}" width="{max(1.0, width - 1):.1f}" height="{HEIGHT - BOTTOM - top:.1f}" '
                f'class="c{s}"><title>{escape(f"{labels[int(px)]} {one.name}: {y.text(py)}")}</title></rect>'
            )
    return _svg("".join(parts), HEIGHT, title)


@dataclass(slots=True)
class Bar:
    label: str
    value: float
    text: str
    colour: int = 0
    limit: float | None = None
    """A mark across the bar."""


def bars(title: str, rows: Sequence[Bar]) -> str:
    """Lying bars, each below its own label: long names fit, on a phone too."""
    most = max((max(row.value, row.limit or 0.0) for row in rows), default=0.0) or 1.0
    room, step = WIDTH - 4 - 92, ROW + 14
    parts = []
    for n, row in enumerate(rows):
        y, length = n * step, room * row.value / most
        parts.append(_text(2, y + 12, row.label))
        parts.append(f'<rect x="2" y="{y + 16}" width="{room}" height="12" rx="2" class="trough"/>')
        parts.append(
            f'<rect x="2" y="{y + 16}" width="{max(length, 1.0):.1f}" height="12" rx="2" class="c{row.colour}"/>'
        )
        if row.limit is not None:
            parts.append(f'<path d="M{2 + room * row.limit / most:.1f} {y + 13}v18" class="limit"/>')
        parts.append(_text(room + 8, y + 26, row.text, css="dim"))
    return _svg("".join(parts), max(1, len(rows)) * step, title)
