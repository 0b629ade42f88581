"""The HTTP server of the application process: middlewares, headers, health, metrics, the API and the console."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from sqlalchemy.exc import IntegrityError, OperationalError

from appserver.api import mount as mount_api
from appserver.api import problems
from appserver.api.problems import Problem
from appserver.auth.gate import find_identity, gate
from appserver.db import ERRORS, TEMPORARY_ERRORS
from appserver.errors import RegistryError
from appserver.integrations import pending_count
from appserver.services import SERVICES, Services
from appserver.sources.intake import refused_count
from appserver.web import mount as mount_pages
from appserver.web.errors import problem_page
from appserver.web.render import speak
from internalapi.client import ApiError, NetworkUnavailable

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log = structlog.get_logger("http")

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

REGISTRY = CollectorRegistry()
_requests = Counter(
    "meterwan_http_requests_total", "Requests by method and status", ["method", "status"], registry=REGISTRY
)
_seconds = Histogram("meterwan_http_request_seconds", "Time to answer, streams excepted", registry=REGISTRY)
_cursor = Gauge(
    "meterwan_application_event_cursor", "Last network event that the application has taken", registry=REGISTRY
)
_sink = Gauge("meterwan_integration_events", "Events of an integration", ["integration", "state"], registry=REGISTRY)
_source = Gauge("meterwan_source_connected", "Whether a source's broker is connected", ["source"], registry=REGISTRY)
_refused = Gauge("meterwan_refused_readings", "Readings beside the radio that wait for somebody", registry=REGISTRY)
_notices = Gauge("meterwan_notices_waiting", "Notices that are not sent yet", registry=REGISTRY)


def _look_at_queues(services: Services) -> None:
    """What waits at the ways in and out, as the metrics tell it."""
    db = services.database
    _sink.clear()
    _source.clear()
    for id_, name in db.rows("SELECT id, name FROM sink WHERE enabled"):
        dead = db.rows("SELECT count(*) FROM delivery WHERE sink_id = ? AND state = 'dead'", (id_,))[0][0]
        _sink.labels(name, "dead").set(dead)
        _sink.labels(name, "waiting").set(pending_count(db, id_))
    for name, connected in db.rows("SELECT name, connected FROM source WHERE enabled AND kind = 'mqtt'"):
        _source.labels(name).set(connected)
    _refused.set(refused_count(db))
    _notices.set(db.rows("SELECT count(*) FROM notice WHERE state = 'pending'")[0][0])


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.pop("Server", None)
    if request.app[SERVICES].settings.http.secure:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"


@web.middleware
async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count requests and their time."""
    started = time.perf_counter()
    response = await handler(request)
    _requests.labels(request.method if request.method in _METHODS else "other", str(response.status)).inc()
    if not response.prepared:
        _seconds.observe(time.perf_counter() - started)
    return response


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})


@web.middleware
async def refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every refusal becomes a problem document for programs and a page for people."""
    try:
        return await handler(request)
    except web.HTTPRedirection:
        raise
    except Problem as error:
        problem = error
    except web.HTTPException as error:
        problem = problems.from_http(error)
    except web.RequestPayloadError:
        problem = Problem(400, "The body cannot be read: it is cut short, or not encoded as its head says.")
    except ApiError as error:
        problem = problems.from_network(error)
    except NetworkUnavailable as error:
        problem = problems.network_away(error)
    except RegistryError as error:
        problem = problems.from_registry(error)
    except IntegrityError as error:
        log.info("conflict", path=request.path, error=str(error.orig))
        problem = Problem(
            409, "The change contradicts what is stored: something it needs is missing, or is still in use."
        )
    except (OperationalError, *TEMPORARY_ERRORS) as error:
        log.error("database", path=request.path, error=str(error))
        problem = Problem(
            503, "The database does not take the request now; try again in a moment.", headers={"Retry-After": "5"}
        )
    except Exception:
        # As text: a renderer that shows local variables would show passwords.
        log.error("request failed", method=request.method, path=request.path, trace=traceback.format_exc())
        problem = Problem(500, "Something went wrong here; the server's log says what.")
    if request.path.startswith("/api/") or request.path in _PLAIN:
        return problem.response()
    return problem_page(request, problem)


_PLAIN = frozenset({"/healthz", "/readyz", "/metrics"})


async def _healthz(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _readyz(request: web.Request) -> web.Response:
    services = request.app[SERVICES]
    state: dict[str, str] = {}
    try:
        await services.database.run(services.database.rows, "SELECT 1")
        state["database"] = "ok"
    except ERRORS as error:
        state["database"] = str(error)
    state |= {name: "ok" if task_runs() else "stopped" for name, task_runs in services.tasks.items()}
    ready = all(value == "ok" for value in state.values())
    try:
        state["storage"] = (await services.network.status()).storage
        state["network"] = "ok"
    except (NetworkUnavailable, ApiError):
        state["network"] = "away"
    body = {"status": "ready" if ready else "not ready", **state}
    return web.Response(status=200 if ready else 503, text=json.dumps(body) + "\n", content_type="application/json")


async def _metrics(request: web.Request) -> web.Response:
    services = request.app[SERVICES]
    local = request.remote in ("127.0.0.1", "::1") and "X-Forwarded-For" not in request.headers
    if not (local or services.settings.http.metrics_public or await find_identity(request)):
        raise Problem(403, "Metrics are for this machine; elsewhere send a token or set http.metrics_public.")
    rows = await services.database.run(services.database.rows, "SELECT max(event_id) FROM event_cursor")
    _cursor.set(rows[0][0] or 0)
    await services.database.run(_look_at_queues, services)
    return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})


def make_app(services: Services) -> web.Application:
    """The whole application, ready for a runner."""
    http = services.settings.http
    app = web.Application(middlewares=[measure, refusals, gate, speak], client_max_size=http.max_body_kib * 1024)
    app[SERVICES] = services
    app.on_response_prepare.append(_add_headers)
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/readyz", _readyz)
    app.router.add_get("/metrics", _metrics)
    mount_api(app)
    mount_pages(app)
    return app
