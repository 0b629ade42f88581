"""The chart of docs/adr.md: delivery over energy, one panel a kind of device, as SVG text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

WIDTH, HEIGHT = 460, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 16, 34, 42
TICKS_MJ = (50, 70, 100, 150, 200, 300, 500, 700, 1000, 1500)
COLOURS = {"MeterWAN default": "#0b6e4f", "ChirpStack-like": "#c05621", "The Things Stack-like": "#2b5fb3"}


class Curve(NamedTuple):
    kind: str
    name: str
    labels: list[str]
    """Margins."""
    points: list[tuple[float, float]]
    """Energy in mJ, delivery in per cent."""
    default: int
    """Which of them is the default margin."""


def draw(curves: Sequence[Curve], kinds: Sequence[str]) -> str:
    """The whole chart."""
    legend = "".join(
        f'<g transform="translate({20 + 230 * n},18)"><path d="M0 0h26" stroke="{colour}" stroke-width="2"/>'
        f'<circle cx="13" cy="0" r="4" fill="{colour}"/><text x="34" y="4">{name}</text></g>'
        for n, (name, colour) in enumerate(COLOURS.items())
    )
    panels = "".join(
        f'<g transform="translate({(n % 2) * WIDTH},{36 + (n // 2) * HEIGHT})">'
        f"{_panel(kind, [curve for curve in curves if curve.kind == kind])}</g>"
        for n, kind in enumerate(kinds)
    )
    rows = (len(kinds) + 1) // 2
    width, height = 2 * WIDTH, 36 + rows * HEIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="12" fill="#222"><title>ADR: delivery over energy</title>'
        f'<rect width="{width}" height="{height}" fill="#fff"/>{legend}{panels}</svg>\n'
    )


def _panel(kind: str, curves: Sequence[Curve]) -> str:
    energies = [energy for curve in curves for energy, _ in curve.points]
    deliveries = [delivery for curve in curves for _, delivery in curve.points]
    x_low, x_high = math.log(min(energies) * 0.9), math.log(max(energies) * 1.1)
    y_low = math.floor(min(deliveries) / 5) * 5
    y_high = 100

    def x(energy: float) -> float:
        return round(LEFT + (math.log(energy) - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT), 1)

    def y(delivery: float) -> float:
        return round(TOP + (y_high - delivery) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM), 1)

    parts = [f'<text x="{LEFT}" y="{TOP - 12}" font-weight="600" font-size="14">{kind}</text>']
    step = 5 if y_high - y_low <= 40 else 10
    parts += [
        f'<path d="M{LEFT} {y(tick)}H{WIDTH - RIGHT}" stroke="#ddd"/>'
        f'<text x="{LEFT - 8}" y="{y(tick) + 4}" text-anchor="end">{tick} %</text>'
        for tick in range(y_low, y_high + 1, step)
    ]
    parts += [
        f'<path d="M{x(energy)} {TOP}V{HEIGHT - BOTTOM}" stroke="#eee"/>'
        f'<text x="{x(energy)}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{energy}</text>'
        for energy in TICKS_MJ
        if x_low < math.log(energy) < x_high
    ]
    parts.append(
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - BOTTOM + 32}" text-anchor="end">energy per delivered frame, mJ</text>'
    )
    for curve in curves:
        colour = COLOURS[curve.name]
        path = "L".join(f"{x(energy)} {y(delivery)}" for energy, delivery in curve.points)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for n, (energy, delivery) in enumerate(curve.points):
            fill = colour if n == curve.default else "#fff"
            radius = 5 if n == curve.default else 3
            parts.append(
                f'<circle cx="{x(energy)}" cy="{y(delivery)}" r="{radius}" fill="{fill}" stroke="{colour}">'
                f"<title>{curve.name}, {curve.labels[n]} dB: {delivery:.1f} %, {energy:.0f} mJ</title></circle>"
            )
    return "".join(parts)
