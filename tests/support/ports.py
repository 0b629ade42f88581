"""Ports for servers of tests, many of which run side by side."""

from __future__ import annotations

import random
import socket

PORTS = range(20_000, 32_000)
"""Below those that systems give to connections: a server that is started again would find its own taken by one."""
_CHANCE = random.SystemRandom()


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port of 127.0.0.1 that nobody listens on at the moment, and that nobody else is likely to be given."""
    while True:
        port = _CHANCE.choice(PORTS)
        with socket.socket(socket.AF_INET, kind) as trial:
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
