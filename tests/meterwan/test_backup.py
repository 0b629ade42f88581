"""Backup, verify and restore of a data folder with real databases."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from meterwan.backup import MANIFEST, back_up, read_manifest, restore, verify
from meterwan.datadir import DATABASES, DataDir
from meterwan.errors import Failure


def fill(data: DataDir, rows: int, tag: str = "old") -> None:
    """Three databases in WAL mode, their newest rows only in the log."""
    for name in DATABASES:
        with closing(sqlite3.connect(data.path / name)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE IF NOT EXISTS reading (id INTEGER PRIMARY KEY, tag TEXT)")
            connection.executemany("INSERT INTO reading (tag) VALUES (?)", [(tag,)] * rows)
            connection.commit()


def tags(data: DataDir, name: str = "application.db") -> list[str]:
    with closing(sqlite3.connect(data.path / name)) as connection:
        return [tag for (tag,) in connection.execute("SELECT DISTINCT tag FROM reading ORDER BY tag")]


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    made = DataDir(tmp_path / "data folder")
    made.create()
    fill(made, 1000)
    return made


@pytest.fixture
def backup(data: DataDir, tmp_path: Path) -> Path:
    back_up(data, tmp_path / "backup 1", with_kek=False)
    return tmp_path / "backup 1"


def test_a_backup_holds_every_database_and_no_key(backup: Path) -> None:
    manifest = read_manifest(backup)
    assert set(manifest["files"]) == set(DATABASES)
    assert {file.name for file in backup.iterdir()} == {*DATABASES, MANIFEST}
    assert manifest["files"]["network.db"]["rows"] == {"reading": 1000}
    assert {file.stat().st_mode & 0o777 for file in backup.glob("*.db")} == {0o600}
    assert [finding.problem for finding in verify(backup)] == ["", "", ""]


def test_the_months_of_the_frame_log_are_part_of_a_backup(data: DataDir, tmp_path: Path) -> None:
    months = ("frames-2026-10.db", "frames-2026-11.db")
    for name in months:
        shutil.copyfile(data.path / "network.db", data.path / name)
    manifest = back_up(data, tmp_path / "backup 2", with_kek=False)
    assert list(manifest["files"]) == ["application.db", "join.db", "network.db", *months], "what moves comes last"
    assert [finding.problem for finding in verify(tmp_path / "backup 2")] == [""] * 5
    (data.path / months[0]).unlink()
    (data.path / "frames-2026-12.db").write_bytes(b"newer than the backup")
    aside = restore(tmp_path / "backup 2", data)
    assert aside is not None and (aside / "frames-2026-12.db").exists()
    assert sorted(path.name for path in data.path.glob("frames-*")) == list(months)


def test_a_backup_while_others_write_is_whole(data: DataDir, tmp_path: Path) -> None:
    stop, written = threading.Event(), threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(data.path / "network.db", timeout=30)) as connection:
            while not stop.is_set():
                connection.executemany("INSERT INTO reading (tag) VALUES (?)", [("a",), ("b",)])
                connection.commit()
                written.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert written.wait(10)
        manifest = back_up(data, tmp_path / "b", with_kek=False)
    finally:
        stop.set()
        writer.join()
    rows = manifest["files"]["network.db"]["rows"]["reading"]
    assert rows > 1000 and rows % 2 == 0, "a transaction was torn"
    assert not any(finding.problem for finding in verify(tmp_path / "b"))


@pytest.fixture(params=[*DATABASES])
def damaged(request: pytest.FixtureRequest, backup: Path) -> Iterator[Path]:
    file = backup / request.param
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x01
    file.write_bytes(content)
    yield file


def test_one_changed_bit_is_found_and_not_restored(damaged: Path, data: DataDir) -> None:
    problems = {finding.database for finding in verify(damaged.parent) if finding.problem}
    assert problems == {damaged.name}
    before = {name: (data.path / name).read_bytes() for name in DATABASES}
    with pytest.raises(Failure, match=f"damaged and was not restored .*{damaged.name}"):
        restore(damaged.parent, data)
    assert before == {name: (data.path / name).read_bytes() for name in DATABASES}


def test_rows_are_compared_not_only_checksums(backup: Path) -> None:
    manifest = json.loads((backup / MANIFEST).read_text())
    manifest["files"]["join.db"]["rows"]["reading"] += 1
    (backup / MANIFEST).write_text(json.dumps(manifest))
    assert [f.problem for f in verify(backup) if f.problem] == ["reading has 1000 rows, not 1001"]


def test_a_restore_brings_the_old_state_and_marks_it(data: DataDir, backup: Path) -> None:
    fill(data, 10, tag="newer")
    old = restore(backup, data)
    assert all(tags(data, name) == ["old"] for name in DATABASES)
    assert data.restored.exists() and not data.unfinished_restore.exists()
    assert old is not None and tags(DataDir(old)) == ["newer", "old"]
    assert not list(data.path.glob("*.restoring"))
    data.create()


def test_a_restore_into_another_folder_needs_the_key(data: DataDir, backup: Path, tmp_path: Path) -> None:
    other = DataDir(tmp_path / "other")
    with pytest.raises(Failure, match=f"put the key-encryption key of that server at {other.kek}"):
        restore(backup, other)
    back_up(data, tmp_path / "with key", with_kek=True)
    restore(tmp_path / "with key", other)
    assert other.read_kek() == data.read_kek()
    assert other.kek.stat().st_mode & 0o777 == 0o600
    assert tags(other) == ["old"]


def test_an_unfinished_restore_keeps_the_server_from_starting(data: DataDir, backup: Path) -> None:
    data.unfinished_restore.write_text(str(backup))
    with pytest.raises(Failure, match="cut short; finish it: meterwan restore"):
        data.create()
    restore(backup, data)
    data.create()


def test_a_backup_never_covers_another(data: DataDir, backup: Path) -> None:
    with pytest.raises(Failure, match="exists already"):
        back_up(data, backup, with_kek=False)


def test_nothing_to_back_up_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="nothing to back up"):
        back_up(DataDir(tmp_path), tmp_path / "b", with_kek=False)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    "manifest",
    ["", "{", "[]", '{"format": 2, "files": {}}', '{"format": 1, "files": {"../../etc/passwd": {"sha256": ""}}}'],
)
def test_a_manifest_that_is_none_is_refused(backup: Path, manifest: str) -> None:
    (backup / MANIFEST).write_text(manifest)
    with pytest.raises(Failure, match=r"damaged|incomplete"):
        verify(backup)


def test_a_copy_does_not_start_again_when_the_server_writes(
    data: DataDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meterwan.backup.PAGES_PER_STEP", 1)
    steps: dict[str, int] = {}
    with closing(sqlite3.connect(data.path / "network.db", isolation_level=None)) as writer:

        def write(name: str, done: int, total: int) -> None:
            steps[name] = steps.get(name, 0) + 1
            assert steps[name] <= total + 1, "the copy never ends"
            writer.execute("INSERT INTO reading (tag) VALUES ('during')")

        manifest = back_up(data, tmp_path / "b", with_kek=False, progress=write)
    assert manifest["files"]["network.db"]["rows"]["reading"] >= 1000
    assert steps["network.db"] > 2
    assert not any(finding.problem for finding in verify(tmp_path / "b"))
