from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from appserver.db import Database, open_database
from tests.support.house import FIRST_DAY, House, make_house

NOW_US = int((FIRST_DAY + timedelta(days=40)).timestamp()) * 1_000_000


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = open_database(tmp_path / "application.db")
    yield database
    database.close()


@pytest.fixture
def house(db: Database) -> House:
    return make_house(db)
