"""The wheel: the rooms, their data files and the simulator, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = {"lorawan", "regional", "joinserver", "lns", "internalapi", "appserver", "meterwan", "lorasim"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("meterwan-*.whl")
    return built


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_it_holds_the_rooms_and_the_simulator_and_nothing_else(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in names(wheel)}
    assert {top for top in tops if not top.endswith(".dist-info")} == ROOMS


def test_it_holds_every_module_and_every_data_file(wheel: Path) -> None:
    packed = names(wheel)
    listed = subprocess.run(
        ["git", "ls-files", "-z", *(f"{room}/" for room in ROOMS - {"lorasim"}), "tools/simulator/lorasim/"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    tracked = {file.removeprefix("tools/simulator/") for file in listed if file and (ROOT / file).exists()}
    assert len(tracked) > 150
    assert tracked - packed == set()


def test_it_holds_compiled_translations(wheel: Path) -> None:
    sources = {str(file.relative_to(ROOT)) for file in ROOT.glob("appserver/locale/*/LC_MESSAGES/*.po")}
    assert {source.removesuffix(".po") + ".mo" for source in sources} <= names(wheel)
    assert any("/ru/" in source for source in sources)


def test_it_holds_licence_and_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (entry,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "meterwan = meterwan.cli:main" in archive.read(entry).decode()
        (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        text = archive.read(metadata).decode()
    assert "License-Expression: Apache-2.0" in text
    assert any(name.endswith("licenses/LICENSE") for name in names(wheel))


def test_it_runs_away_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("METERWAN")}
    probe = "import meterwan, lorasim, sys; print(meterwan.__file__, lorasim.__file__); "
    probe += "sys.argv = ['meterwan', 'region', 'list']; from meterwan.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-P", "-c", probe],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    first, *plans = done.stdout.splitlines()
    assert first == f"{site}/meterwan/__init__.py {site}/lorasim/__init__.py"
    assert any(plan.startswith("RU864 ") for plan in plans)
