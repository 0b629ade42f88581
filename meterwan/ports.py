"""Addresses to listen on: taken ones are found before anything starts, and port 0 becomes a real one."""

from __future__ import annotations

import errno
import socket

from meterwan.errors import Failure


class PortTaken(Failure):
    """Another program listens where this one should."""

    def __init__(self, setting: str, what: str, address: str, next_address: str) -> None:
        super().__init__(
            f"{what} ({setting} = {address}); end that program or choose another port: --set {setting}={next_address}"
        )
        self.setting = setting
        self.what = what
        self.next_address = next_address


def split(address: str) -> tuple[str, int]:
    """``host:port`` or ``[v6]:port`` into its parts; an empty host is every address."""
    host, _, port = address.rpartition(":")
    return host.strip("[]") or "0.0.0.0", int(port)


def join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def claim(name: str, address: str, udp: bool = False) -> str:
    """Return ``address`` with a real port, after a trial that it can be listened on.

    ``name`` is the setting that holds the address. Raises Failure that says who cannot listen and what to change.
    """
    host, port = split(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM) as trial:
        if not udp:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            raise _refusal(name, address, host, port, udp, error) from None
        return join(host, trial.getsockname()[1])


def _refusal(name: str, address: str, host: str, port: int, udp: bool, error: OSError) -> Failure:
    kind = "UDP" if udp else "TCP"
    if error.errno == errno.EADDRINUSE:
        return PortTaken(name, f"{kind} port {port} is taken by another program", address, join(host, port + 1))
    if error.errno == errno.EACCES:
        return Failure(f"{kind} port {port} needs more rights ({name} = {address}); choose a port above 1023")
    return Failure(f"cannot listen on {address} ({name}): {error.strerror or error}")
