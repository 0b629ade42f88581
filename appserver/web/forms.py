"""Forms of the console: what a browser sent, checked by the same models as the API's bodies."""

from __future__ import annotations

from typing import Any, TypeVar

from aiohttp import web
from aiohttp.web import FileField
from pydantic import BaseModel, ValidationError

from appserver.api.problems import Problem, from_validation
from appserver.api.router import Call
from appserver.auth.gate import CSRF_FIELD, posted
from appserver.auth.identity import identity_of
from appserver.services import SERVICES

ModelT = TypeVar("ModelT", bound=BaseModel)
MAX_FIELDS = 100


def call_of(request: web.Request) -> Call:
    """The request as the API's functions take it."""
    return Call(request, request.app[SERVICES], identity_of(request))


async def read_form(request: web.Request) -> dict[str, str]:
    """The text fields of a form, trimmed. Raises Problem when there are absurdly many, or one comes twice."""
    data = await posted(request)
    if len(data) > MAX_FIELDS:
        raise Problem(422, "The form has too many fields.")
    fields: dict[str, str] = {}
    for name, value in data.items():
        if isinstance(value, (FileField, bytes, bytearray)):
            continue
        if name in fields:
            raise Problem(422, f"The field {name[:60]} is given twice.")
        fields[name] = value if "password" in name else value.strip()
    fields.pop(CSRF_FIELD, None)
    return fields


def check(model: type[ModelT], fields: dict[str, Any]) -> ModelT:
    """The form as ``model``; empty fields count as left out. Raises Problem that names the fields."""
    try:
        return model.model_validate({name: value for name, value in fields.items() if value not in ("", None)})
    except ValidationError as error:
        raise from_validation(error, "form") from error


def seen_query(request: web.Request, model: type[ModelT]) -> ModelT:
    """The query of a page as ``model``; what it does not know or understand is left out, for links get old."""
    values = {name: request.query[name] for name in request.query if name in model.model_fields}
    while True:
        try:
            return model.model_validate({name: value for name, value in values.items() if value != ""})
        except ValidationError as error:
            wrong = {str(item["loc"][0]) for item in error.errors() if item["loc"]} & set(values)
            if not wrong:
                return model()
            for name in wrong:
                del values[name]


def link(request: web.Request, **changes: Any) -> str:
    """The address of this page with some query fields changed (None leaves a field out)."""
    query = {name: value for name, value in request.query.items() if name not in changes}
    query |= {name: str(value) for name, value in changes.items() if value is not None}
    return str(request.rel_url.with_query(query))


def back_path(text: str) -> str:
    """A path of this server out of ``text``, the start page when it is anything else."""
    return (
        text
        if text.startswith("/") and not text.startswith(("//", "/\\")) and "\n" not in text and "\r" not in text
        else "/"
    )
