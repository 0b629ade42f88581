"""The OpenAPI 3.1 description, made from the table of operations."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

from appserver.api.fields import Output
from appserver.api.router import PREFIX, Api, Operation
from appserver.auth.roles import API_ACCESS


class ProblemDocument(Output):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] = Field(default_factory=list)


_REFUSALS = {
    "400": "The body is not valid JSON",
    "401": "Not signed in",
    "403": "The role does not suffice",
    "404": "There is no such thing",
    "409": "Conflict with what is there",
    "413": "The body is too large",
    "415": "The body is not JSON",
    "421": "Not this server's host name",
    "422": "A field is wrong",
    "429": "Too many requests",
    "503": "The network process does not answer",
}


def describe(api: Api, version: str) -> dict[str, Any]:
    """The whole description."""
    models: list[tuple[type[BaseModel], Any]] = [(ProblemDocument, "serialization")]
    for operation in api.operations:
        if "body" in operation.takes:
            models.append((operation.takes["body"], "validation"))
        if isinstance(operation.answers, type) and issubclass(operation.answers, BaseModel):
            models.append((operation.answers, "serialization"))
    references, definitions = models_json_schema(
        list(dict.fromkeys(models)), ref_template="#/components/schemas/{model}"
    )
    paths: dict[str, dict[str, Any]] = {}
    for operation in api.operations:
        paths.setdefault(PREFIX + operation.path, {})[operation.method.lower()] = _operation(operation, references)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "MeterWAN",
            "version": version,
            "description": "EUIs and keys are lower-case hex, bytes base64, times RFC 3339, volumes decimal strings. "
            "Lists answer `items` and `next_cursor`; unknown fields are refused.",
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": definitions.get("$defs", {}),
        },
    }


def _operation(operation: Operation, references: dict[Any, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": "Done"}
    if isinstance(operation.answers, str):
        answer["content"] = {operation.answers: {"schema": {"type": "string"}}}
    elif operation.answers is not None:
        schema = references.get((operation.answers, "serialization"), {"type": "object"})
        answer["content"] = {"application/json": {"schema": schema}}
    described: dict[str, Any] = {
        "operationId": operation.handler.__name__,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": _parameters(operation),
        "responses": {str(operation.status): answer} | {status: _refusal(text) for status, text in _REFUSALS.items()},
    }
    least = API_ACCESS[operation.path][operation.method]
    if least is None:
        described["security"] = []
    else:
        described["x-role"] = least.value
    if "body" in operation.takes:
        schema = references[(operation.takes["body"], "validation")]
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    elif operation.upload:
        form = {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}, "required": ["file"]}
        described["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": form}}}
    elif operation.media:
        content = {media: {"schema": {"type": "string", "format": "binary"}} for media in operation.media}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _refusal(text: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ProblemDocument"}
    return {"description": text, "content": {"application/problem+json": {"schema": schema}}}


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = []
    for place in ("path", "query"):
        model = operation.takes.get(place)
        if model is None:
            continue
        schema = _inlined(model.model_json_schema())
        for name, field in schema.get("properties", {}).items():
            required = place == "path" or name in schema.get("required", ())
            description = field.pop("description", "")
            parameter = {"name": name, "in": place, "required": required, "schema": field}
            parameters.append(parameter | ({"description": description} if description else {}))
    text = {"type": "string", "maxLength": 200}
    parameters += [{"name": name, "in": "header", "required": False, "schema": text} for name in operation.headers]
    return parameters


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with its own definitions put in place: parameters have no room for them."""
    definitions = schema.pop("$defs", {})

    def walk(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return walk(definitions[re.sub(r"^.*/", "", node["$ref"])])
            return {key: walk(value) for key, value in node.items()}
        return [walk(item) for item in node] if isinstance(node, list) else node

    inlined: dict[str, Any] = walk(schema)
    return inlined
