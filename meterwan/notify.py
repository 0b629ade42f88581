"""Messages to systemd: sd_notify(3) without a library."""

from __future__ import annotations

import os
import socket


def notify(message: str) -> None:
    """Send a state such as ``READY=1``; does nothing when systemd did not start this process."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    if address[0] == "@":
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        try:
            sender.connect(address)
            sender.send(message.encode())
        except OSError:
            return  # a service manager that is gone must not stop the server


def watchdog_interval_s() -> float | None:
    """How often systemd wants a sign of life (half of what it allows), None when it wants none."""
    try:
        return int(os.environ["WATCHDOG_USEC"]) / 2e6
    except (KeyError, ValueError):
        return None
