"""What the registry refuses, and why."""

from __future__ import annotations

from typing import Literal

Code = Literal["not_found", "conflict", "invalid"]


class RegistryError(Exception):
    """A refusal: ``code``, the ``field`` at fault (empty when it is not one field), and what to do about it."""

    def __init__(self, code: Code, field: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.field = field
        self.detail = detail
