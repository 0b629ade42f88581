"""Coverage-guided fuzzing of the wire's parsers.

``python -m tests.fuzz.fuzz_wire -runs=5000000`` from the project's folder; options of libFuzzer may follow
(``-max_total_time=60``, ``-seed=1``). It ends with status 0, or at the first finding with another status; the input
found then lies in ``build/fuzz``. Needs `atheris`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

OPTIONS = ("-max_len=300", "-len_control=20", "-print_final_stats=1")
FINDINGS = Path("build/fuzz")
CORPUS = "--corpus="


def main(arguments: list[str]) -> int:
    """Run libFuzzer in a child process, because it ends its process by itself, on a fresh corpus of the seeds."""
    from tests.fuzz import wire_targets

    FINDINGS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fuzz-wire-") as folder:
        for number, data in enumerate(wire_targets.seeds()):
            (Path(folder) / f"seed-{number:04d}").write_bytes(data)
        command = [sys.executable, "-m", "tests.fuzz.fuzz_wire", CORPUS + folder]
        return subprocess.run([*command, *OPTIONS, *arguments], check=False).returncode


def child(arguments: list[str]) -> None:
    """Fuzz; does not return."""
    import atheris

    with atheris.instrument_imports(include=["lorawan", "tests.fuzz.wire_targets"]):
        from tests.fuzz import wire_targets

    corpus, *options = arguments
    atheris.Setup(
        [sys.argv[0], f"-artifact_prefix={FINDINGS}/wire-", *options, corpus.removeprefix(CORPUS)], wire_targets.check
    )
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1].startswith(CORPUS):
        child(sys.argv[1:])
    sys.exit(main(sys.argv[1:]))
