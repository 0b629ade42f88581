"""What a trial came to: one line for people, and the raw figures appended to ``build/trials/``."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "build" / "trials"


def note(trial: str, figures: dict[str, Any]) -> None:
    """Print one line and append one to ``build/trials/<trial>.jsonl``."""
    print(f"{trial}: " + ", ".join(f"{name} {value}" for name, value in figures.items()), flush=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    line = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **figures,
    }
    with (FOLDER / f"{trial}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _commit() -> str:
    told = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return told.stdout.strip()
