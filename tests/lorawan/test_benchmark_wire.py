"""The benchmark of the wire measures what it says, and the hot path is far ahead of the textbook way."""

from __future__ import annotations

from benchmarks import wire
from lorawan import frames


def test_the_frame_that_is_measured_is_authentic() -> None:
    frame = frames.parse(wire.uplink())
    assert isinstance(frame, frames.DataFrame)
    assert len(frame.frm_payload) == 24
    assert wire.naive(wire.uplink()) == wire.PLAIN


def test_the_hot_path_costs_a_fraction_of_the_textbook_way() -> None:
    """A ratio within one run, because absolute times depend on the machine and what else it does."""
    figures = wire.measure(rounds=7, repeats=400)
    assert set(wire.LIMITS_US) < set(figures)
    assert figures["ratio"] > 8
    assert figures["header"] < figures["frame_object"]
