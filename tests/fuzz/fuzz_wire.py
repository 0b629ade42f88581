"""Coverage-guided fuzzing of the wire's parsers.

``python -m tests.fuzz.fuzz_wire -runs=5000000`` from the project's folder; options of libFuzzer may follow
(``-max_total_time=60``, ``-seed=1``), and a corpus folder in place of ``build/fuzz/wire``, where what one run has learnt
is kept for the next. Ends with status 0, or at the first finding with another status; the input found then lies in
``build/fuzz``. Needs `atheris`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["lorawan", "tests.fuzz.wire_targets"]):
    from tests.fuzz import wire_targets

CORPUS = Path("build/fuzz/wire")
FINDINGS = "build/fuzz/finding-wire-"
# A machine that pauses for a while is no finding: units count as slow from a minute on.
OPTIONS = ("-max_len=300", "-len_control=20", "-print_final_stats=1", "-report_slow_units=60")


def main(arguments: list[str]) -> None:
    """Put the seeds into the corpus and hand over to libFuzzer, which ends the process by itself."""
    folders = [Path(argument) for argument in arguments if not argument.startswith("-")] or [CORPUS]
    options = [argument for argument in arguments if argument.startswith("-")]
    CORPUS.parent.mkdir(parents=True, exist_ok=True)
    folders[0].mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(wire_targets.seeds()):
        (folders[0] / f"seed-{number:04d}").write_bytes(data)
    command = [sys.argv[0], *OPTIONS, f"-artifact_prefix={FINDINGS}", *options, *map(str, folders)]
    atheris.Setup(command, wire_targets.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
