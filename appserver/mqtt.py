"""A connection to somebody's MQTT broker, for sources and sinks alike.

The address was typed by somebody, so that the same rule holds as for webhooks: only the public internet, plus what the
administrator allows, checked on the address that is connected to.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from appserver.integrations.addresses import AddressRefused, AllowList

KEEPALIVE_S = 30
RECONNECT_S = (1, 30)
CONNECT_S = 10.0
PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class Broker:
    """Where a broker is and who we are there."""

    url: str
    username: str = ""
    password: str = ""
    ca: str = ""
    """PEM; empty: the system's authorities."""

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        parts = urlsplit(self.url)
        return parts.port or PORTS[parts.scheme]

    @property
    def tls(self) -> ssl.SSLContext | None:
        """Raises ssl.SSLError for an authority that is none."""
        if urlsplit(self.url).scheme != "mqtts":
            return None
        return ssl.create_default_context(cadata=self.ca or None)


def check_broker(url: str, ca: str, allow: AllowList) -> str:
    """What is wrong with a broker as far as can be told without a connection; empty when nothing is."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        return f"is not a URL: {error}"
    if parts.scheme not in PORTS:
        return "must start with mqtt:// or mqtts://"
    if not host or port == 0:
        return "has no host"
    if parts.username is not None or parts.password is not None:
        return "must not carry a user or password; they have fields of their own"
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        return "must end after the host and port"
    if ca:
        try:
            ssl.create_default_context(cadata=ca)
        except (ssl.SSLError, ValueError) as error:
            return f"has a certificate authority that cannot be read: {error}"
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    except OSError:
        return ""
    return "" if allow.permits(host, host) else f"{host} is not a public address; the administrator can allow it"


def resolve(host: str, port: int, allow: AllowList) -> list[tuple[str, int]]:
    """Addresses of a host that may be called. Raises AddressRefused when there is none, OSError for an unknown name."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    good = [(str(item[4][0]), port) for item in found if allow.permits(host, str(item[4][0]))]
    if not good:
        raise AddressRefused(f"{host} has no address that may be called; the administrator can allow it")
    return list(dict.fromkeys(good))


class BrokerClient(Client):
    """paho's client that connects only where it may. Not connected yet."""

    def __init__(self, broker: Broker, allow: AllowList, client_id: str, **options: Any) -> None:
        """Raises ssl.SSLError for a certificate authority that is none."""
        super().__init__(CallbackAPIVersion.VERSION2, client_id=client_id, **options)
        self._allow = allow
        self.refusal = ""
        """Why the last connection could not be tried."""
        if broker.username:
            self.username_pw_set(broker.username, broker.password)
        if (context := broker.tls) is not None:
            self.tls_set_context(context)
        self.reconnect_delay_set(*RECONNECT_S)
        self.connect_timeout = CONNECT_S
        self.connect_async(broker.host, broker.port, KEEPALIVE_S)

    def _create_socket_connection(self) -> socket.socket:
        try:
            addresses = resolve(self._host, self._port, self._allow)
            self.refusal = ""
        except OSError as error:
            self.refusal = str(error)
            raise
        for number, address in enumerate(addresses, 1):
            try:
                return socket.create_connection(address, CONNECT_S)
            except OSError as error:
                self.refusal = f"no connection: {error}"
                if number == len(addresses):
                    raise
        raise AssertionError("resolve gives at least one address")

    def _ssl_wrap_socket(self, tcp_sock: socket.socket) -> ssl.SSLSocket:
        try:
            return super()._ssl_wrap_socket(tcp_sock)
        except OSError as error:
            self.refusal = f"no TLS with the broker: {error}"
            raise
