"""Settings of the network process."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from lns.gateways.sources import parse_networks
from lorawan.errors import FrameError
from lorawan.identifiers import NetID


def parse_listen(text: str) -> tuple[str, int]:
    """Split ``host:port`` (``[v6]:port`` too). Raises ValueError that says what is expected."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise ValueError(f"{text!r} is not an address like 0.0.0.0:1700")
    return host.strip("[]") or "0.0.0.0", int(port)


def _check_listen(text: str) -> str:
    parse_listen(text)
    return text


def _check_net_id(text: str) -> str:
    try:
        NetID.parse(text)
    except FrameError as error:
        raise ValueError(f"{text!r} is not a NetID of six hex digits: {error}") from error
    return text


Listen = Annotated[str, AfterValidator(lambda text: _check_listen(text) if text else text)]
"""``host:port``, or empty: not at all."""


def _check_networks(texts: list[str]) -> list[str]:
    parse_networks(texts)
    return texts


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class UdpSettings(_Section):
    """Semtech UDP packet forwarders; an empty ``listen`` turns them off."""

    listen: Listen = "0.0.0.0:1700"
    receive_buffer_bytes: int = Field(default=8 << 20, ge=65536)
    """Kernel buffer asked for; it holds what arrives while the server is busy."""
    gateway_source_hold_s: int = Field(default=60, ge=0, le=86_400)
    """So long an address that spoke for a gateway is believed against others after its last word; 0: the newest is."""
    datagrams_per_s: int = Field(default=200, ge=0, le=1_000_000)
    """Budget of each gateway, and of each address that speaks for none; 0: no limit."""
    datagrams_burst: int = Field(default=400, ge=1, le=1_000_000)
    allowed_sources: Annotated[list[str], AfterValidator(_check_networks)] = []
    """Networks (CIDR) that gateways may speak from; empty: any. Each gateway may have a narrower list of its own."""


def _check_broker(text: str) -> str:
    try:
        url = urlsplit(text)
        port_is_fair = url.port is None or url.port > 0
    except ValueError:
        port_is_fair = False
    if text and not (port_is_fair and url.scheme in ("mqtt", "mqtts") and url.hostname and not url.path.strip("/")):
        raise ValueError(f"{text!r} is not a broker's address like mqtt://broker:1883 or mqtts://broker:8883")
    if text and url.username:
        raise ValueError("put the user name and the password into `username` and `password`, not into the address")
    return text


class MqttGatewaySettings(_Section):
    """Gateways with ChirpStack's MQTT Forwarder or Gateway Bridge, behind a broker; an empty ``server`` turns them off."""

    server: Annotated[str, AfterValidator(_check_broker)] = ""
    """``mqtt://HOST:1883`` or ``mqtts://HOST:8883``."""
    topic_prefix: str | None = None
    """What stands before ``gateway/…`` in the gateways' topics; not given: the region's name in lower case, as the forwarders
    are set up for; empty for none."""
    username: str = ""
    password: str = ""
    client_id: str = Field(default="meterwan", min_length=1, max_length=64)
    """The broker keeps messages for this name while the server is away: one name for one server."""
    qos: Literal[0, 1] = 1
    """1: what a gateway published with QoS 1 is not lost while this server restarts."""
    ca_certificate: str = ""
    """File with the certificate authority of the broker; empty: those of the system."""
    certificate: str = ""
    key: str = ""

    def prefix(self, region: str) -> str:
        """The topic prefix with its slash."""
        prefix = region.lower() if self.topic_prefix is None else self.topic_prefix.strip("/")
        return f"{prefix}/" if prefix else ""


def is_loopback(host: str) -> bool:
    """True for this machine's own addresses and ``localhost``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_station_uri(text: str) -> str:
    url = urlsplit(text)
    if text and (url.scheme not in ("ws", "wss") or not url.hostname or url.port is None or url.path.strip("/")):
        raise ValueError(
            f"{text!r} is not an address like wss://lns.example.com:8887: stations want the port, and no path"
        )
    return text.rstrip("/")


class BasicStationSettings(_Section):
    """LoRa Basics Stations: their LNS protocol and CUPS on one port; an empty ``listen`` turns both off."""

    listen: Listen = ""
    """``0.0.0.0:8887``, for example."""
    certificate: Path | None = None
    """PEM: this server's certificate and its chain. Read again when the file changes."""
    private_key: Path | None = None
    client_ca: Path | None = None
    """PEM: whoever signs the certificates of stations; a name in such a certificate must hold the station's EUI."""
    trust: Path | None = None
    """PEM: the authority by which stations know this server, handed out with credentials; unset: the last certificate of
    ``certificate``."""
    uri: Annotated[str, AfterValidator(_check_station_uri)] = ""
    """``wss://lns.example.com:8887``: where stations are sent; empty: to the address that they came to."""
    open_to: Literal["nobody", "loopback", "anybody"] = "loopback"
    """From where a registered gateway for which no token was made may come with neither token nor certificate. Behind a proxy
    on this machine everybody comes from loopback."""
    allow_plain: bool = False
    """Listen without TLS beyond this machine: tokens then go in the clear unless a VPN or a proxy encrypts them."""
    region: str = ""
    """Name of the region told to stations; empty: the one under which they send without rules of another country."""
    max_eirp_dbm: float | None = Field(default=None, ge=-10, le=36)
    """Power of all downlinks; unset: the lowest limit of the sub-bands in use, for a station has one power for all."""
    concentrator: Literal["sx1301", "sx1302"] = "sx1301"
    """How far apart the channels of one radio may be; ``sx1301`` fits both."""
    ping_interval_s: float = Field(default=20.0, ge=1, le=300)
    silent_after_s: float = Field(default=60.0, ge=2, le=3600)
    """A connection from which nothing came for so long, not even the answer to a ping, is dead."""
    max_connections: int = Field(default=2000, ge=1)
    max_connections_per_source: int = Field(default=200, ge=1)
    """Connections from one address that have not shown credentials yet."""
    messages_per_s: int = Field(default=100, ge=1)
    """What one station may send; beyond it its messages are read more slowly."""
    failures_per_minute: int = Field(default=30, ge=1)
    """Refused attempts of one address, after which it is not listened to for a while."""

    @model_validator(mode="after")
    def _is_safe(self) -> BasicStationSettings:
        if not self.listen:
            return self
        if bool(self.certificate) != bool(self.private_key):
            raise ValueError("certificate and private_key go together")
        if self.client_ca and not self.certificate:
            raise ValueError("client_ca needs certificate and private_key: without TLS nobody shows a certificate")
        if self.ping_interval_s >= self.silent_after_s:
            raise ValueError("silent_after_s must be longer than ping_interval_s")
        if not self.certificate and not self.allow_plain and not is_loopback(parse_listen(self.listen)[0]):
            raise ValueError(
                f"gateways.basicstation.listen = {self.listen}: without certificate and private_key only on 127.0.0.1, "
                "or with allow_plain = true"
            )
        return self


class GatewaysSettings(_Section):
    udp: UdpSettings = UdpSettings()
    mqtt: MqttGatewaySettings = MqttGatewaySettings()
    basicstation: BasicStationSettings = BasicStationSettings()


class NetworkHttpSettings(_Section):
    """``/healthz``, ``/readyz`` and ``/metrics`` of the network process; an empty ``listen`` turns them off."""

    listen: Listen = "127.0.0.1:8081"


class NetworkSettings(_Section):
    """The ``[network]`` section and what the network process takes from others."""

    data_dir: Path = Path("data")
    region: str = "RU864"
    net_id: Annotated[str, AfterValidator(_check_net_id)] = "000000"
    channels: str = "default"
    """Preset of extra channels sent in the join-accept: for RU864 ``default`` (868.9 and 869.1 only), ``864``, ``866``."""
    deduplication_window_ms: int = Field(default=200, ge=10, le=2000)
    rx1_delay_s: int = Field(default=1, ge=1, le=15)
    """RECEIVE_DELAY1 given in the join-accept; profiles may ask for more."""
    class_b_c_resp_timeout_s: int = Field(default=8, ge=1, le=3600)
    """How long a device of class B or C has for the ACK of a confirmed downlink (CLASS_B/C_RESP_TIMEOUT)."""
    rx_window: Literal["both", "rx1", "rx2"] = "both"
    """Which receive windows data downlinks use; one alone is for networks whose other window is not allowed or not heard."""
    frame_log_days: int = Field(default=30, ge=1)
    """How long frames and events are kept."""
    frame_log_max_mb: int = Field(default=20_000, ge=0)
    """The most that they may take on the disk; beyond it the oldest go early. 0: no limit."""
    adr: Literal["default", "recommended", "static", "off"] = "default"
    """ADR algorithm of the profiles that leave it to the network; ``static`` takes the profile's own values."""
    gateways: GatewaysSettings = GatewaysSettings()
    http: NetworkHttpSettings = NetworkHttpSettings()
