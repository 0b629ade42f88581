"""The data folder: secrets, and one writer at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from meterwan.datadir import DataDir, write_secret
from meterwan.errors import Failure

HOLD = "import sys; from pathlib import Path; from meterwan.datadir import DataDir; "
HOLD += "lock = DataDir(Path(sys.argv[1])).lock().acquire(); print('held', flush=True); sys.stdin.read()"


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    made = DataDir(tmp_path / "a folder" / "data")
    made.create()
    return made


def test_secrets_are_made_once_and_only_the_owner_reads_them(data: DataDir) -> None:
    kek, token = data.read_kek(), data.read_token()
    assert len(kek) == 32 and len(token) >= 40
    assert {file.stat().st_mode & 0o777 for file in (data.kek, data.token)} == {0o600}
    data.create()
    assert (data.read_kek(), data.read_token()) == (kek, token)


def test_a_key_file_that_others_can_read_is_refused(data: DataDir) -> None:
    data.kek.chmod(0o640)
    with pytest.raises(Failure, match="can be read by others"):
        data.create()


@pytest.mark.parametrize("content", [b"", bytes(32), b"\x01" * 32, b"short", bytes(range(33))])
def test_a_key_file_that_holds_no_key_is_refused(data: DataDir, content: bytes) -> None:
    write_secret(data.kek, content)
    with pytest.raises(Failure, match="32 random bytes"):
        data.create()


def test_a_lost_key_is_not_replaced_while_keys_are_wrapped_under_it(data: DataDir) -> None:
    (data.path / "join.db").touch()
    data.kek.unlink()
    with pytest.raises(Failure, match="put the key file back"):
        data.create()
    assert not data.kek.exists()


def test_a_folder_that_cannot_be_made_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Failure, match="cannot make the data folder"):
        DataDir(tmp_path / "file" / "data").create()


def test_a_second_server_is_refused_with_folder_and_pid_until_the_first_is_gone(data: DataDir) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    try:
        with pytest.raises(Failure) as refused:
            data.lock().acquire()
        assert str(data.path) in str(refused.value) and f"pid {holder.pid}" in str(refused.value)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with data.lock():
            assert (data.run / "server.lock").read_text() == f"{os.getpid()}\n"
    finally:
        holder.kill()
        holder.communicate()


def test_roles_have_locks_of_their_own(data: DataDir) -> None:
    refusal = "another network process"
    with data.lock(), data.role_lock("network"), data.role_lock("application"), pytest.raises(Failure, match=refusal):
        data.role_lock("network").acquire()
    data.role_lock("network").acquire().release()
