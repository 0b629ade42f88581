from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from joinserver.server import JoinServer
from joinserver.store import JoinStore
from tests.support.joins import KEK


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "join.db"


@pytest.fixture
def store(path: Path) -> Iterator[JoinStore]:
    with JoinStore(path, KEK) as store:
        yield store


@pytest.fixture
def server(store: JoinStore) -> JoinServer:
    return JoinServer(store)
