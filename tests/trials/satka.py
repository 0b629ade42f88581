"""The month in Satka for many seeds: ``python -m tests.trials.satka --seeds 20``. One line a seed; exits 1 when one is wrong.

The form for the suite is ``tests/e2e/test_satka_month.py``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from appserver.metering.balance import Balance
from appserver.metering.explain import Explanation
from internalapi.messages import Event
from tests.support.house_lab import M3, HouseLab

ZONE = ZoneInfo("Asia/Yekaterinburg")
FIRST, LAST = date(2026, 10, 1), date(2026, 11, 1)
CAUSES = ("theft", "leak", "skew")
WITHIN = 0.15


@dataclass
class Outcome:
    """A month and what the server makes of it, beside what is true."""

    seed: int
    folder: Path
    balance: Balance
    explanation: Explanation
    truth: dict[str, float]
    """m³ by cause, and ``lost``: theft, leak and common needs."""
    raw: float
    """The imbalance by the last values that the network had promised to keep, reckoned from the record of the air."""
    known: tuple[int, int]
    """Boundary values known before and after gaps were asked for."""
    theft_day: date
    slow_flats: set[int]
    replaced: float
    """What the flat with the replaced meter used."""
    events: Sequence[Event]
    """What the network handed over, in its order: uplinks and states of devices."""

    def wrong(self) -> Iterator[str]:
        """What is not as it should be."""
        for cause in CAUSES:
            told, truth = float(self.explanation.row(cause).volume), self.truth[cause]
            if abs(told - truth) > WITHIN * abs(truth):
                yield f"{cause} {told:.2f}, put in {truth:.2f}"
        raw, _, filled, _ = (float(stage.imbalance or 0) for stage in self.explanation.course)
        if abs(filled - self.truth["lost"]) > 0.1 * self.truth["lost"]:
            yield f"imbalance {filled:.1f}, lost {self.truth['lost']:.1f}"
        if abs(raw - self.raw) > 0.5:
            yield f"raw {raw:.1f}, on the air {self.raw:.1f}"


def run(folder: Path, seed: int) -> Outcome:
    """A month; then gaps are asked for, for nine days."""
    lab = HouseLab(folder, "satka_month", datetime(2026, 10, 1, tzinfo=ZONE), seed)
    try:
        lab.live(days=32)
        before = _known(lab)
        lab.ask_for_gaps = True
        lab.live(days=9)
        truth = lab.truth(FIRST, LAST)
        config = lab.house.config
        end_us, start_us = lab.moment(LAST), lab.moment(FIRST)
        module = lab.module(config.replacements[0].flat)
        register = module.meter.register
        assert register is not None
        return Outcome(
            seed,
            folder,
            lab.balance(FIRST, LAST),
            lab.explanation(FIRST, LAST),
            truth | {"skew": truth["clock"]},
            _raw(lab, end_us),
            (before, _known(lab)),
            FIRST + timedelta(days=config.thefts[0].from_day),
            set(config.clocks[0].flats),
            float(register.units(end_us - start_us) / M3),
            [event for event in lab.events() if event.type in ("up", "status")],
        )
    finally:
        lab.close()
        lab.db.close()


def _known(lab: HouseLab) -> int:
    return int(lab.db.rows("SELECT count(*) FROM boundary WHERE day <= ?", ((LAST - date(1970, 1, 1)).days,))[0][0])


def _raw(lab: HouseLab, end_us: int) -> float:
    """Common meter less flats, each from its start value to the last value kept by the end."""
    total = 0
    for meter in lab.house.meters:
        last = lab.heard_by(end_us, meter.serial)
        used = 0
        if last is not None:
            used = last - meter.start_units
            if meter.replacement is not None and end_us >= lab.house.day_us(
                meter.replacement.day, meter.replacement.hour
            ):
                used = lab.house.removed_units(meter) - meter.start_units + last - meter.replacement.start_litres * 10
        total += -used if meter.flat else used
    return float(total / M3)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=1)
    arguments = parser.parse_args()
    failed = 0
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        with tempfile.TemporaryDirectory() as folder:
            outcome = run(Path(folder), seed)
        stages = " → ".join(
            f"{stage.imbalance:.1f}" for stage in outcome.explanation.course if stage.imbalance is not None
        )
        told = ", ".join(f"{c} {outcome.explanation.row(c).volume:.2f}/{outcome.truth[c]:.2f}" for c in CAUSES)
        wrong = list(outcome.wrong())
        failed += bool(wrong)
        print(
            f"seed {seed}: {stages} m³ (lost {outcome.truth['lost']:.1f}); {told}; {'; '.join(wrong) or 'ok'}",
            flush=True,
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
