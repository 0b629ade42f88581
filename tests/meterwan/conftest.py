"""Running processes for the tests of commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.program import WITHIN_S, Program, make_program, wait_for


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """A folder without anything running in it."""
    return make_program(tmp_path / "a folder")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A folder in which the network process runs."""
    made = make_program(tmp_path_factory.mktemp("network") / "a folder")
    process = made.start("serve", "--role", "network", *made.settings)
    try:
        wait_for(made, process, ["network"])
        yield made
    finally:
        process.terminate()
        process.wait(WITHIN_S)
