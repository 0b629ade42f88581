"""The UDP socket of the Semtech protocol: as thin as it can be."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import structlog

from lns.clock import system_now
from lns.gateways.gateway import Address
from lns.network import Network
from lns.settings import UdpSettings, parse_listen

DRAIN = 256
"""Datagrams read in one go before timers and commits get their turn."""
PACE_S = 0.002
"""Under load the socket is read this often instead of at every datagram: waking up costs as much as a datagram does."""
BUSY = 2
"""A reading that finds as many datagrams is load."""
MAX_DATAGRAM = 65_536

log = structlog.get_logger("udp")


class UdpServer:
    """Reads datagrams into the engine and puts its answers on the wire."""

    def __init__(self, network: Network, settings: UdpSettings) -> None:
        self._network = network
        self._socket = open_socket(settings)
        self._socket_send = self._socket.sendto
        self.address: tuple[str, int] = self._socket.getsockname()[:2]
        network.send = self._send
        self._loop: asyncio.AbstractEventLoop
        self._next_reading: asyncio.Handle | None = None
        """While the socket is read by the clock; None while the kernel tells of every datagram."""

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), self._readable)

    def stop(self) -> None:
        if self._next_reading is not None:
            self._next_reading.cancel()
        self._loop.remove_reader(self._socket.fileno())
        self._network.send = lambda datagram, address: None
        self._socket.close()

    def _readable(self) -> None:
        """The kernel tells of a datagram. Several at once: from now on the clock tells when to read."""
        if self._read() >= BUSY:
            self._loop.remove_reader(self._socket.fileno())
            self._next_reading = self._loop.call_later(PACE_S, self._read_again)

    def _read_again(self) -> None:
        taken = self._read()
        if taken >= DRAIN:
            self._next_reading = self._loop.call_soon(self._read_again)
        elif taken:
            self._next_reading = self._loop.call_later(PACE_S, self._read_again)
        else:
            self._next_reading = None
            self._loop.add_reader(self._socket.fileno(), self._readable)

    def _read(self) -> int:
        """Take what has arrived, up to DRAIN datagrams; returns how many."""
        taken = 0
        network, receive = self._network, self._network.engine.receive
        now = system_now()
        recv = self._socket.recvfrom
        try:
            while taken < DRAIN:
                datagram, address = recv(MAX_DATAGRAM)
                taken += 1
                try:
                    receive(datagram, address, now)
                except Exception:
                    network.engine.counters["internal_errors"] += 1
                    log.exception("internal error in a datagram", source=f"{address[0]}:{address[1]}")
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            # An ICMP "port unreachable" for an earlier answer comes back as an error of the next read.
            network.engine.counters["socket_errors"] += 1
            log.debug("socket error", why=str(error))
        network.pump()
        return taken

    def _send(self, datagram: bytes, address: Address) -> None:
        try:
            self._socket_send(datagram, address)
        except OSError:
            self._network.engine.counters["send_errors"] += 1


def open_socket(settings: UdpSettings) -> socket.socket:
    """Bind the socket. Raises OSError with the address in its text when it is taken."""
    host, port = parse_listen(settings.listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, settings.receive_buffer_bytes)
    with contextlib.suppress(OSError, AttributeError):  # beyond the system's limit, for root only
        sock.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_RCVBUFFORCE", 33), settings.receive_buffer_bytes)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise OSError(
            error.errno,
            f"cannot listen for gateways on UDP {settings.listen}: {error.strerror}; "
            "stop the other program or choose another port in [gateways.udp] listen",
        ) from error
    return sock
