"""A typed router: handlers say with annotations what they take, requests that differ get a problem document.

A handler is ``async def handler(call, path=…, query=…, body=…)``; the parameters named ``path``, ``query`` and ``body``
are pydantic models, present only where the handler wants them. The same annotations make the OpenAPI description.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from typing import Any, TypeVar, get_type_hints

from aiohttp import web
from pydantic import BaseModel, TypeAdapter, ValidationError

from appserver.api.problems import Problem, from_validation
from appserver.auth.gate import client_address, today_of
from appserver.auth.grants import Operation as Permission
from appserver.auth.identity import Identity, identity_of
from appserver.auth.places import OWN_DAYS, covers, listed
from appserver.services import SERVICES, Services

PREFIX = "/api/v1"
Handler = Callable[..., Awaitable[Any]]
HandlerT = TypeVar("HandlerT", bound=Handler)


@dataclass(slots=True)
class Call:
    """One request on its way through a handler."""

    request: web.Request
    services: Services
    who: Identity

    def only(self, operation: Permission, kind: str) -> str:
        """The condition that narrows a list of the registry's ``kind`` to what the caller was granted; empty for staff."""
        return "" if self.who.scope is None else listed(self.who.scope, operation, kind, today_of(self.services))

    def covered(self, operation: Permission, building: str, premises: str, resource: str) -> str:
        """The condition over SQL for a row's place that narrows a list to what is granted today; empty for staff."""
        today = today_of(self.services)
        days = {"first": today, "last": today + timedelta(days=1)}
        return "" if self.who.scope is None else self.who.scope.sql(operation, building, premises, resource, **days)

    @property
    def personal(self) -> bool:
        """Whether the caller may see accounts and whose they are."""
        return self.who.scope is None or self.who.scope.sees_personal

    async def reaches(self, operation: Permission, kind: str, key: int, resource: str = "") -> bool:
        """Whether the caller may do this to one thing today."""
        if self.who.scope is None:
            return True
        db, today = self.services.database, today_of(self.services)
        days = (today, today + timedelta(days=1))
        return await db.run(covers, db, self.who.scope, operation, kind, key, *days, resource)

    async def sees_photo(self, photo_id: int) -> bool:
        """Whether the day of a photo is one that the caller may see of its meter."""
        if self.who.scope is None:
            return True
        db = self.services.database
        return await db.run(covers, db, self.who.scope, Permission.meters, "photo", photo_id, *OWN_DAYS)

    async def need(
        self,
        operations: Sequence[Permission],
        kind: str,
        key: int,
        days: tuple[date, date] | None = None,
        resource: str = "",
    ) -> None:
        """For what the gate cannot read, such as an upload: Problem 403 unless a member's grants cover it all."""
        if self.who.scope is None:
            return
        today = today_of(self.services)
        first, last = days or (today, today + timedelta(days=1))
        for operation in operations:
            db = self.services.database
            if not await db.run(covers, db, self.who.scope, operation, kind, key, first, last, resource):
                raise Problem(403, "Your grants do not reach this.")

    async def audit(self, action: str, subject: str, detail: dict[str, Any] | None = None) -> None:
        """Write down who did what to what."""
        await self.services.auth.audit(self.who.name, client_address(self.request), action, subject, detail or {})


@dataclass(frozen=True)
class Operation:
    """One method of one address."""

    method: str
    path: str
    handler: Handler
    summary: str
    tag: str
    status: int
    answers: Any
    """Type of the JSON answer; None for an empty one, a media type for anything else."""
    upload: bool = False
    """Takes multipart/form-data that the handler reads itself."""
    headers: tuple[str, ...] = ()
    """Request headers with a meaning of their own."""
    media: tuple[str, ...] = ()
    """Media types of a body that the handler reads itself."""

    @cached_property
    def takes(self) -> dict[str, type[BaseModel]]:
        """Models of ``path``, ``query`` and ``body``."""
        hints = get_type_hints(self.handler)
        return {name: hints[name] for name in ("path", "query", "body") if name in hints}

    @cached_property
    def writer(self) -> TypeAdapter[Any] | None:
        return None if self.answers is None or isinstance(self.answers, str) else TypeAdapter(self.answers)


@dataclass
class Api:
    """A table of operations."""

    tag: str = ""
    operations: list[Operation] = field(default_factory=list)

    def add(
        self,
        method: str,
        path: str,
        *,
        answers: Any,
        summary: str,
        status: int = 200,
        upload: bool = False,
        headers: tuple[str, ...] = (),
        media: tuple[str, ...] = (),
    ) -> Callable[[HandlerT], HandlerT]:
        """Enter the decorated handler for ``method`` and ``path`` (without the prefix)."""

        def enter(handler: HandlerT) -> HandlerT:
            self.operations.append(
                Operation(method, path, handler, summary, self.tag, status, answers, upload, headers, media)
            )
            return handler

        return enter

    def include(self, other: Api) -> None:
        """Take over another table's operations."""
        self.operations.extend(other.operations)

    def mount(self, app: web.Application) -> None:
        """Make aiohttp routes of all operations."""
        for operation in self.operations:
            app.router.add_route(operation.method, PREFIX + operation.path, _endpoint(operation))


def _endpoint(operation: Operation) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def endpoint(request: web.Request) -> web.StreamResponse:
        arguments = {}
        for name, model in operation.takes.items():
            arguments[name] = await _READERS[name](request, model)
        if "query" not in operation.takes and request.query:
            unknown = sorted(request.query)
            raise Problem(
                422,
                f"Unknown query parameter: {unknown[0]}.",
                errors=[{"in": "query", "field": key, "message": "Unknown parameter"} for key in unknown],
            )
        call = Call(request, request.app[SERVICES], identity_of(request))
        result = await operation.handler(call, **arguments)
        if isinstance(result, web.StreamResponse):
            return result
        if operation.writer is None:
            return web.Response(status=204)
        body = operation.writer.dump_json(operation.writer.validate_python(result), by_alias=True)
        if not call.personal and not operation.path.startswith("/cabinet"):
            body = without_personal(body)
        return web.Response(
            status=operation.status,
            body=body,
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )

    return endpoint


_PERSONAL = frozenset({"account_number", "holder", "unified_number", "service_id", "door_code"})


def without_personal(body: bytes) -> bytes:
    """A JSON answer with the fields empty that lead to a person: for members whose grants do not say ``personal``."""

    def walk(node: Any) -> Any:
        if isinstance(node, dict):
            return {name: "" if name in _PERSONAL and value else walk(value) for name, value in node.items()}
        return [walk(item) for item in node] if isinstance(node, list) else node

    return json.dumps(walk(json.loads(body)), ensure_ascii=False).encode()


async def _read_path(request: web.Request, model: type[BaseModel]) -> BaseModel:
    try:
        return model.model_validate(dict(request.match_info))
    except ValidationError as error:
        raise from_validation(error, "path") from error


async def _read_query(request: web.Request, model: type[BaseModel]) -> BaseModel:
    values: dict[str, str] = {}
    for key, value in request.query.items():
        if key in values:
            raise Problem(
                422,
                f"Query parameter {key} is given twice.",
                errors=[{"in": "query", "field": key, "message": "Given twice"}],
            )
        values[key] = value
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise from_validation(error, "query") from error


async def _read_body(request: web.Request, model: type[BaseModel]) -> BaseModel:
    if request.content_type not in ("application/json", "application/octet-stream", "text/json"):
        raise Problem(415, "Send the body as application/json.")
    raw = await request.read()
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise from_validation(error, "body") from error
    except UnicodeError as error:
        raise Problem(400, "The body is not valid UTF-8.") from error


_READERS: dict[str, Callable[[web.Request, type[BaseModel]], Awaitable[BaseModel]]] = {
    "path": _read_path,
    "query": _read_query,
    "body": _read_body,
}
