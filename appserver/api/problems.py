"""Every refusal as an RFC 9457 problem document."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from appserver.errors import RegistryError
from internalapi.client import ApiError, NetworkUnavailable

PROBLEM_JSON = "application/problem+json"

_NETWORK_STATUS = {"not_found": 404, "conflict": 409, "invalid": 422, "unavailable": 503, "unauthorised": 503}


class Problem(Exception):
    """A refusal: the HTTP status, what happened and what to do; ``errors`` name the fields at fault."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})

    def document(self) -> dict[str, Any]:
        """The problem document's members."""
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            document["errors"] = self.errors
        return document

    def response(self) -> web.Response:
        """The HTTP answer with this problem."""
        body = json.dumps(self.document(), ensure_ascii=False).encode("utf-8", "replace")
        return web.Response(status=self.status, body=body, content_type=PROBLEM_JSON, headers=self.headers)


def not_found(what: str, key: object) -> Problem:
    """404 for a thing that does not exist, or that the asker may not know of."""
    return Problem(404, f"There is no {what} {key}.")


def invalid(field: str, message: str, where: str = "body") -> Problem:
    """422 that names one field."""
    return Problem(422, f"{field}: {message}", errors=[{"in": where, "field": field, "message": message}])


def from_validation(error: ValidationError, where: str) -> Problem:
    """422 (or 400 when the body is no JSON at all) out of pydantic's findings."""
    errors = []
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        if item["type"] == "json_invalid":
            return Problem(400, f"The body is not valid JSON: {item['msg']}.")
        # Of a field of several types pydantic also tells which it tried, by the names of our checks.
        field = ".".join(part for part in map(str, item["loc"]) if not part.startswith("function-"))
        message = item["msg"].removeprefix("Value error, ")
        errors.append({"in": where, "field": field, "message": message})
    detail = "; ".join(f"{e['field'] or where}: {e['message']}" for e in errors[:3])
    return Problem(422, detail, errors=errors[:50])


def from_network(error: ApiError) -> Problem:
    """What the network process refused, in the API's words."""
    status = _NETWORK_STATUS.get(error.problem.code, 503)
    errors = (
        [{"in": "body", "field": error.problem.field, "message": error.problem.detail}] if error.problem.field else []
    )
    return Problem(status, error.problem.detail, errors=errors)


def from_registry(error: RegistryError) -> Problem:
    """What the metering rooms refused."""
    errors = [{"in": "body", "field": error.field, "message": error.detail}] if error.field else []
    return Problem(_NETWORK_STATUS[error.code], error.detail, errors=errors)


def network_away(_: NetworkUnavailable) -> Problem:
    """503 while the network process is stopped or restarting."""
    return Problem(
        503,
        "The network process does not answer; it is starting or was stopped. Try again in a few seconds.",
        headers={"Retry-After": "5"},
    )


_PHRASES = {
    404: "There is nothing at this address.",
    413: "The body is larger than this server takes.",
}


def from_http(error: web.HTTPException) -> Problem:
    """aiohttp's own refusals: 404, 405, 413 …"""
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    detail = _PHRASES.get(error.status) or f"{error.reason}."
    if isinstance(error, web.HTTPMethodNotAllowed):
        detail = f"{error.method} does not work here; allowed: {', '.join(sorted(error.allowed_methods))}."
    return Problem(error.status, detail, headers=headers)
