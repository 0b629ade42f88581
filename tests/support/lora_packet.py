"""The npm package lora-packet as an oracle that shares no code with ours (tests/oracle)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "oracle"


def ask(questions: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put all questions to one `node` process; the operations stand in tests/oracle/lora_packet.js."""
    if not (FOLDER / "node_modules" / "lora-packet").is_dir():
        raise RuntimeError("lora-packet is not installed: run `npm ci --ignore-scripts --prefix tests/oracle`")
    lines = "".join(json.dumps(question) + "\n" for question in questions)
    run = subprocess.run(
        ["node", "lora_packet.js"], cwd=FOLDER, input=lines, capture_output=True, text=True, timeout=120, check=True
    )
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    for question, answer in zip(lines.splitlines(), answers, strict=True):
        assert "error" not in answer, f"{question}: {answer['error']}"
    return answers
