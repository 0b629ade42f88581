"""Vector files as parametrised tests: every row is one test whose id names the row and its source."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent.parent / "vectors"

Row = dict[str, Any]


def load(name: str) -> Any:
    """A file of tests/vectors."""
    return json.loads((FOLDER / name).read_text("utf-8"))


def params(rows: list[Row], *label: str) -> list[Any]:
    """Rows for ``pytest.mark.parametrize``, each with an id of its labels and its source."""
    return [
        pytest.param(row, id=" ".join(str(row[key]) for key in (*label, "source") if key in row) + f" #{number}")
        for number, row in enumerate(rows)
    ]
