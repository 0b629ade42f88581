"""MET-04 on the command line: `meterwan verify` without a folder checks the readings in use, with one also a backup's."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from appserver.db import open_database
from appserver.metering.seals import seal
from meterwan.backup import back_up, verify
from meterwan.cli import app
from meterwan.datadir import DataDir
from tests.support.house import make_house


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    data = DataDir(tmp_path / "data")
    db = open_database(data.path / "application.db")
    make_house(db)
    seal(db, 2_000_000_000_000_000)
    db.close()
    return data


def change(data: DataDir) -> None:
    connection = sqlite3.connect(data.path / "application.db")
    connection.execute("DROP TRIGGER reading_no_update")
    connection.execute("UPDATE reading SET value_micro = 100750001 WHERE value_micro = 100750000")
    connection.commit()
    connection.close()


def ask(data: DataDir) -> tuple[int, dict[str, object]]:
    result = CliRunner().invoke(app, ["verify", "--json", "--set", f"data_dir={data.path}"])
    return result.exit_code, json.loads(result.stdout)[0]


def test_met_04_readings_in_use_are_checked(data: DataDir) -> None:
    code, row = ask(data)
    assert (code, row["seals"], row["rows"], row["problem"]) == (0, 1, 18, "none")
    change(data)
    code, row = ask(data)
    assert code != 0
    assert "2026-10-30: the reading of meter 1, volume" in str(row["problem"])


def test_met_04_a_backup_of_changed_readings_is_found_out(data: DataDir, tmp_path: Path) -> None:
    back_up(data, tmp_path / "good", with_kek=False)
    assert [finding.problem for finding in verify(tmp_path / "good")] == [""]
    change(data)
    back_up(data, tmp_path / "bad", with_kek=False)
    [problem] = [finding.problem for finding in verify(tmp_path / "bad")]
    assert "meter 1, volume" in problem
