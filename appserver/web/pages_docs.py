"""The API's description as a page to read."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from aiohttp import web

from appserver.api.description import described
from appserver.web.render import page


def _example(schema: dict[str, Any], depth: int = 0) -> Any:
    """A small example of a schema's values."""
    components = described()["components"]["schemas"]
    if "$ref" in schema:
        return _example(components[schema["$ref"].rsplit("/", 1)[1]], depth + 1) if depth < 6 else {}
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return _example(schema[word][0], depth)
    if "default" in schema and schema["default"] not in (None, "", {}, []):
        return schema["default"]
    if "enum" in schema:
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    kind = schema.get("type")
    if kind == "object":
        return {name: _example(field, depth + 1) for name, field in schema.get("properties", {}).items()}
    if kind == "array":
        return [_example(schema.get("items", {}), depth + 1)] if depth < 6 else []
    return _scalar(schema, kind)


_FORMATS = {"date": "2026-11-01", "date-time": "2026-11-01T00:00:00+03:00"}


def _scalar(schema: dict[str, Any], kind: Any) -> Any:
    if kind == "string":
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        if schema.get("pattern") == r"^-?\d+(\.\d+)?$":
            return "12.345"
        digits = schema.get("minLength", 0)
        if digits and digits == schema.get("maxLength"):
            return ("0016c001f153a14c" * 2)[:digits]
        return "DAAGAQQ=" if "contentEncoding" in schema else ""
    return {"integer": max(schema.get("minimum", 0), 1), "number": 0.5, "boolean": False}.get(str(kind))


def _parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    schema = parameter["schema"]
    schema = next((one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"), schema) | {
        "default": schema.get("default")
    }
    words = (
        " | ".join(str(word) for word in schema["enum"])
        if "enum" in schema
        else schema.get("format", schema.get("type"))
    )
    default = schema["default"]
    return {
        "name": parameter["name"],
        "place": parameter["in"],
        "required": parameter["required"],
        "type": words or "",
        "default": "" if default in (None, "") else default,
        "description": parameter.get("description", ""),
    }


def _operations() -> list[dict[str, Any]]:
    found = []
    for path, methods in described()["paths"].items():
        for method, operation in methods.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            status = next(iter(operation["responses"]))
            content = operation["responses"][status].get("content", {})
            answer = content.get("application/json", {}).get("schema")
            found.append(
                {
                    "method": method.upper(),
                    "path": path,
                    "summary": operation["summary"],
                    "tag": operation["tags"][0],
                    "role": operation.get("x-role", ""),
                    "parameters": [_parameter(parameter) for parameter in operation["parameters"]],
                    "body": json.dumps(_example(body), indent=2, ensure_ascii=False) if body else "",
                    "status": status,
                    "media": next(iter(content), ""),
                    "answer": json.dumps(_example(answer), indent=2, ensure_ascii=False) if answer else "",
                    "id": operation["operationId"],
                }
            )
    return found


@cache
def _by_tag() -> dict[str, list[dict[str, Any]]]:
    tags: dict[str, list[dict[str, Any]]] = {}
    for operation in _operations():
        tags.setdefault(operation["tag"], []).append(operation)
    return tags


async def docs(request: web.Request) -> web.Response:
    """Every operation with its parameters, an example of its body and of its answer."""
    return page(request, "docs.html", tags=_by_tag())
