"""Settings of the network process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

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


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class UdpSettings(_Section):
    """Semtech UDP packet forwarders; an empty ``listen`` turns them off."""

    listen: Listen = "0.0.0.0:1700"
    receive_buffer_bytes: int = Field(default=8 << 20, ge=65536)
    """Kernel buffer asked for; it holds what arrives while the server is busy."""


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


class GatewaysSettings(_Section):
    udp: UdpSettings = UdpSettings()
    mqtt: MqttGatewaySettings = MqttGatewaySettings()


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
    frame_log_days: int = Field(default=30, ge=1)
    adr: Literal["default", "recommended", "off"] = "default"
    gateways: GatewaysSettings = GatewaysSettings()
    http: NetworkHttpSettings = NetworkHttpSettings()
