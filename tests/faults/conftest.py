from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from tests.faults import seeds


@pytest.fixture
def quiet() -> Iterator[None]:
    """What a server logs about its deaths is no news here."""
    kept = structlog.get_config()
    seeds.quiet()
    yield
    logging.disable(logging.NOTSET)
    structlog.configure(**kept)
