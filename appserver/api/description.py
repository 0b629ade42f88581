"""The OpenAPI description of this program, made when it is first asked for."""

from __future__ import annotations

import json
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from appserver.api.openapi import describe
from appserver.api.table import whole_api


@cache
def described() -> dict[str, Any]:
    """The description as values."""
    try:
        number = version("meterwan")
    except PackageNotFoundError:
        number = "0"
    return describe(whole_api(), number)


@cache
def described_bytes() -> bytes:
    """The description as JSON."""
    return json.dumps(described(), ensure_ascii=False).encode()
