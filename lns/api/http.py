"""HTTP of the network process: the internal API on a Unix socket, and health and metrics on a port."""

from __future__ import annotations

import contextlib
import hmac
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import msgspec
import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from internalapi import messages as m
from internalapi.client import socket_path
from lns.api.errors import Refused
from lns.api.frame_log import usage
from lns.api.table import HANDLERS
from lns.clock import Now, system_now
from lns.gateways.gateway import Gateway
from lns.network import Network, NotDurable
from lns.settings import NetworkHttpSettings, parse_listen

MAX_BODY = 64 << 20
"""One request may carry the devices of a whole town."""

log = structlog.get_logger("api")


@contextlib.asynccontextmanager
async def serve_internal(network: Network, token: str) -> AsyncIterator[None]:
    """Serve the internal API on the data folder's socket, to holders of the token."""
    decoders = {name: m.decoder(request) for name, (request, _) in m.METHODS.items()}

    async def handle(request: web.Request) -> web.Response:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), token.encode()):
            return _problem(401, m.Problem("unauthorised", "the internal API needs the data folder's token"))
        name = request.match_info["method"]
        handler = HANDLERS.get(name)
        if handler is None:
            return _problem(404, m.Problem("not_found", f"there is no method {name}"))
        try:
            arguments = decoders[name].decode(await request.read())
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return _problem(422, m.Problem("invalid", str(error)))
        try:
            result = await call(network, name, arguments)
        except Refused as refused:
            return _problem(refused.status, refused.problem)
        return web.Response(body=m.encode(result), content_type="application/msgpack")

    app = web.Application(client_max_size=MAX_BODY)
    app.router.add_post("/internal/v1/{method}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    path = socket_path(network.settings.data_dir)
    path.unlink(missing_ok=True)
    previous = os.umask(0o177)
    try:
        await web.UnixSite(runner, str(path)).start()
    finally:
        os.umask(previous)
    try:
        yield
    finally:
        await runner.cleanup()
        path.unlink(missing_ok=True)


async def call(network: Network, name: str, request: Any) -> Any:
    """Run one method. Raises Refused; an error of ours becomes one too, and a line in the log."""
    try:
        return await HANDLERS[name](network, request)
    except Refused:
        raise
    except NotDurable as stuck:
        raise Refused("unavailable", str(stuck)) from None
    except Exception as error:
        log.exception("internal error", method=name)
        raise Refused(
            "unavailable", f"internal error in {name}: {type(error).__name__}; see the server's log"
        ) from error


def _problem(status: int, problem: m.Problem) -> web.Response:
    return web.Response(status=status, body=m.encode(problem), content_type="application/msgpack")


@contextlib.asynccontextmanager
async def serve_http(network: Network, settings: NetworkHttpSettings) -> AsyncIterator[None]:
    """``/healthz`` (the process lives), ``/readyz`` (it takes frames), ``/metrics`` (Prometheus)."""
    registry = CollectorRegistry()
    registry.register(_Collector(network))

    async def healthz(request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(request: web.Request) -> web.Response:
        ready = network.storage == "ok"
        return web.Response(text=f"{network.storage}\n", status=200 if ready else 503)

    async def metrics(request: web.Request) -> web.Response:
        await usage(network)
        return web.Response(body=generate_latest(registry), headers={"Content-Type": "text/plain; version=0.0.4"})

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    host, port = parse_listen(settings.listen)
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise OSError(
            error.errno,
            f"cannot listen on {settings.listen} for health and metrics: {error.strerror}; choose another address in "
            "[network.http] listen, or leave it empty",
        ) from error
    try:
        yield
    finally:
        await runner.cleanup()


class _Collector:
    """Reads the engine's counters when Prometheus asks; the hot path pays nothing."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def collect(self) -> Iterator[Metric]:
        state, now = self._network.state, system_now()
        frames = CounterMetricFamily("meterwan_network", "What the network server did, by kind.", labels=["kind"])
        for kind, value in sorted(state.counters.items()):
            frames.add_metric([kind], value)
        yield frames
        yield GaugeMetricFamily("meterwan_devices", "Registered devices.", len(state.devices))
        yield GaugeMetricFamily("meterwan_sessions", "Sessions.", len(state.sessions))
        yield GaugeMetricFamily(
            "meterwan_gateways_online",
            "Gateways heard lately.",
            sum(gateway.is_online(now) for gateway in state.gateways),
        )
        yield GaugeMetricFamily(
            "meterwan_stations_connected",
            "Basics Stations whose connection stands.",
            sum(gateway.link is not None for gateway in state.gateways),
        )
        yield GaugeMetricFamily(
            "meterwan_gateways_with_gps_time",
            "Gateways that can send at a GPS time.",
            sum(gateway.gps.is_locked(now.mono_us) for gateway in state.gateways),
        )
        yield from _gateways(state.gateways, now)
        yield GaugeMetricFamily(
            "meterwan_storage_ok", "1 while frames are made durable and acknowledged.", self._network.storage == "ok"
        )
        if self._network.frame_log_status is not None:
            log = self._network.frame_log_status[1]
            yield GaugeMetricFamily("meterwan_frame_log_frames", "Frames in the log.", log.frames)
            yield GaugeMetricFamily("meterwan_frame_log_bytes", "Journal and frame log on the disk.", log.bytes)
            yield GaugeMetricFamily(
                "meterwan_frame_log_bytes_when_full",
                "What the frame log takes when its term is over.",
                log.bytes_when_full,
            )
            yield GaugeMetricFamily("meterwan_disk_free_bytes", "Free on the data folder's disk.", log.disk_free_bytes)
            if log.days_left is not None:
                yield GaugeMetricFamily(
                    "meterwan_disk_days_left", "Until the disk is full at the present rate.", log.days_left
                )


def _gateways(gateways: Iterable[Gateway], now: Now) -> Iterator[Metric]:
    """What there is to watch of each gateway."""
    online = GaugeMetricFamily("meterwan_gateway_online", "1 while the gateway is heard.", labels=["gateway"])
    uplinks = CounterMetricFamily("meterwan_gateway_uplinks", "Frames received.", labels=["gateway"])
    outcomes = CounterMetricFamily("meterwan_gateway_downlinks", "Answers to downlinks.", labels=["gateway", "outcome"])
    airtime = GaugeMetricFamily(
        "meterwan_gateway_airtime_seconds",
        "Airtime of the last hour; the gateway was deaf meanwhile.",
        labels=["gateway"],
    )
    share = GaugeMetricFamily(
        "meterwan_gateway_duty_share", "Used share of a sub-band's duty budget.", labels=["gateway", "min_hz"]
    )
    rtt = GaugeMetricFamily("meterwan_gateway_rtt_seconds", "Smoothed round trip.", labels=["gateway"])
    disputed = CounterMetricFamily("meterwan_gateway_disputed", "Datagrams of others in its name.", labels=["gateway"])
    for gateway in gateways:
        name = [gateway.eui_text]
        online.add_metric(name, gateway.is_online(now))
        uplinks.add_metric(name, gateway.uplinks)
        disputed.add_metric(name, gateway.disputed)
        airtime.add_metric(name, gateway.ledger.used_us(now.mono_us) / 1e6)
        if gateway.rtt_us is not None:
            rtt.add_metric(name, gateway.rtt_us / 1e6)
        for outcome, count in gateway.tx_outcomes.items():
            outcomes.add_metric([*name, outcome], count)
        for band, used_us, budget_us in gateway.ledger.usage(now.mono_us):
            if budget_us:
                share.add_metric([*name, str(band.min_hz)], used_us / budget_us)
    yield from (online, uplinks, outcomes, airtime, share, rtt, disputed)
