"""``meterwan`` as a program in a folder of its own, for tests that run it."""

from __future__ import annotations

import io
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from meterwan.cli import main
from tests.support.ports import free_port

WITHIN_S = 120.0


@dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@dataclass
class Program:
    """``meterwan`` in a folder of its own, with its own ports."""

    folder: Path
    http: str
    udp: str
    metrics: str

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def settings(self) -> list[str]:
        return [
            "--set",
            f"http.listen={self.http}",
            "--set",
            f"gateways.udp.listen={self.udp}",
            "--set",
            f"network.http.listen={self.metrics}",
        ]

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("METERWAN")}
        quick = {"METERWAN__APPLICATION__PASSWORD_MEMORY_KIB": "1024", "METERWAN__SUPERVISION__MOST_S": "0.4"}
        return kept | quick | {"COLUMNS": "200"}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-P", "-m", "meterwan", *arguments]

    def run(self, *arguments: str, stdin: str = "", **environment: str) -> Result:
        """Run one command to its end, in this process: an interpreter's start costs more than most commands."""
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(self.folder)
            patch.setattr("sys.argv", ["meterwan", *arguments])
            patch.setattr("sys.stdin", io.StringIO(stdin))
            for name in [name for name in os.environ if name.startswith("METERWAN")]:
                patch.delenv(name)
            for name, value in (self.environment() | environment).items():
                patch.setenv(name, value)
            root, logs = logging.getLogger(), structlog.get_config()
            patch.setattr(root, "handlers", root.handlers[:])
            patch.setattr(root, "level", root.level)
            try:
                main()
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
            finally:
                structlog.configure(**logs)
        return Result(code, out.getvalue(), err.getvalue())

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command that goes on running; its output goes to files beside the data."""
        with (self.folder / "out.txt").open("a") as out, (self.folder / "err.txt").open("a") as err:
            return subprocess.Popen(
                self.command(*arguments),
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                text=True,
            )

    def output(self) -> str:
        return (self.folder / "out.txt").read_text() + (self.folder / "err.txt").read_text()


def make_program(folder: Path) -> Program:
    folder.mkdir(parents=True, exist_ok=True)
    tcp, udp = socket.SOCK_STREAM, socket.SOCK_DGRAM
    return Program(folder, *(f"127.0.0.1:{free_port(kind)}" for kind in (tcp, udp, tcp)))


def wait_for(program: Program, process: subprocess.Popen[str], parts: Sequence[str]) -> None:
    """Wait until ``meterwan health`` finds these parts well."""
    deadline = time.monotonic() + WITHIN_S
    while True:
        lines = program.run("health", *program.settings).lines
        if {line.split("\t")[0] for line in lines if line.split("\t")[1] == "ok"} >= set(parts):
            return
        time.sleep(0.1)
        assert process.poll() is None, f"ended with {process.returncode}:\n{program.output()}"
        assert time.monotonic() < deadline, f"not ready:\n{program.output()}"
