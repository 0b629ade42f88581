"""The recording: one JSON object a line for everything on the air and on the wire.

Every line has ``t`` (microseconds since 1970) and ``type``. Frames and payloads are hex. The checker reads it and
nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

Observer = Callable[[int, str, dict[str, Any]], None]
"""Sees each line as it is written: time, type, fields."""


class Recorder:
    """Writes a recording; a recorder without a path forgets everything."""

    def __init__(self, path: str | Path | None) -> None:
        self._file: TextIO | None = None if path is None else Path(path).open("w", encoding="utf-8")  # noqa: SIM115
        self.observers: list[Observer] = []

    @property
    def listens(self) -> bool:
        """Whether anybody wants the lines: what costs much to tell is then not told."""
        return self._file is not None or bool(self.observers) or type(self) is not Recorder

    def write(self, t: int, kind: str, fields: dict[str, Any]) -> None:
        for observe in self.observers:
            observe(t, kind, fields)
        if self._file is not None:
            self._file.write(json.dumps({"t": t, "type": kind, **fields}, ensure_ascii=False, default=sorted) + "\n")

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()
