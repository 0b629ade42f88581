"""Garbage to every operation that the OpenAPI description names: refusals are problem documents, never a fault of ours."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from io import BytesIO
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.console import Console

GARBAGE: list[Any] = [
    None,
    True,
    0,
    -1,
    1,
    2,
    2**31,
    2**63 - 1,
    2**63,
    2**64,
    10**400,
    1.5,
    -0.0,
    1e308,
    "",
    " ",
    "0",
    "1",
    "-1",
    "0x1",
    "1e999",
    "NaN",
    "Infinity",
    "true",
    "null",
    "а" * 300,
    "x" * 5000,
    "\x00",
    "a\x00b",
    "\u202e\ufeff",
    "😀" * 50,
    "'; DROP TABLE user; --",
    "%00",
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "{{7*7}}",
    "%s%n",
    "2026-02-30",
    "0001-01-01",
    "9999-12-31",
    "2026-11-01",
    "2026-10-01",
    "2026-11-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "1.000000000000000000000000000001",
    "99999999999999999999999999",
    "-12.345",
    "0016c001f153a14c",
    "00" * 16,
    "deadbeef",
    "AAECAw==",
    "AAEC=Aw",
    "cold_water",
    "day",
    "month",
    "WzFd",
    "WzEsMl0",
    "WyIiLDBd",
    [],
    {},
    [1, "a", None],
    {"a": {"b": {"c": []}}},
]
BODIES = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xff\xfe",
    b'{"a":' * 5000,
    b"[" * 100_000,
    b'{"name":"\\ud800"}',
    b"1e9999",
    b'{"a":1,"a":2}',
]
ROUNDS = 18


class Maker:
    """Makes values that nearly fit a JSON schema."""

    def __init__(self, seed: int, components: dict[str, Any]) -> None:
        self.random = random.Random(seed)
        self.components = components
        self.rate = 0.0
        """Share of values that are garbage."""

    def value(self, schema: dict[str, Any], depth: int = 0) -> Any:
        if self.random.random() < self.rate or depth > 4:
            return self.random.choice(GARBAGE)
        if "$ref" in schema:
            return self.value(self.components[schema["$ref"].rsplit("/", 1)[1]], depth + 1)
        for word in ("anyOf", "oneOf"):
            if word in schema:
                return self.value(self.random.choice(schema[word]), depth + 1)
        if "enum" in schema:
            return self.random.choice(schema["enum"])
        if "const" in schema:
            return schema["const"]
        return getattr(self, "make_" + str(schema.get("type", "any")))(schema, depth)

    def make_any(self, schema: dict[str, Any], depth: int) -> Any:
        return self.random.choice(GARBAGE)

    def make_null(self, schema: dict[str, Any], depth: int) -> Any:
        return None

    def make_boolean(self, schema: dict[str, Any], depth: int) -> Any:
        return self.random.random() < 0.5

    def make_integer(self, schema: dict[str, Any], depth: int) -> Any:
        low, high = schema.get("minimum", -5), schema.get("maximum", 300)
        return self.random.choice([low, high, self.random.randint(1, 5)])

    def make_number(self, schema: dict[str, Any], depth: int) -> Any:
        return self.random.choice([schema.get("minimum", 0), schema.get("maximum", 1), 0.5])

    def make_string(self, schema: dict[str, Any], depth: int) -> Any:
        if schema.get("format") == "date":
            return f"2026-{self.random.randint(1, 12):02d}-{self.random.randint(1, 28):02d}"
        if schema.get("format") == "date-time":
            return f"2026-{self.random.randint(1, 12):02d}-01T00:00:00+03:00"
        if schema.get("minLength") == schema.get("maxLength") == 16:
            return f"{self.random.randint(0, 3):016x}"
        if schema.get("minLength") == schema.get("maxLength") and schema.get("minLength"):
            return "0a" * (schema["minLength"] // 2)
        if "\\d" in schema.get("pattern", ""):
            return str(self.random.randint(0, 9))
        if "contentEncoding" in schema:
            return "AAECAw=="
        return self.random.choice(["a", "karat", "karat-926lw", "Крыша", "1", "Europe/Moscow"])

    def make_array(self, schema: dict[str, Any], depth: int) -> Any:
        return [self.value(schema.get("items", {}), depth + 1) for _ in range(self.random.randint(0, 3))]

    def make_object(self, schema: dict[str, Any], depth: int) -> Any:
        required = schema.get("required", [])
        made = {
            name: self.value(field, depth + 1)
            for name, field in schema.get("properties", {}).items()
            if name in required or self.random.random() < 0.6
        }
        if self.random.random() < self.rate:
            made["unexpected"] = 1
        return made

    def requests(self, path: str, operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        for turn in range(ROUNDS):
            self.rate = (0.0, 0.05, 0.3)[turn % 3]
            address, query = path, []
            for parameter in operation["parameters"]:
                if parameter["in"] == "header":
                    continue
                value = self.value(parameter["schema"])
                text = value if isinstance(value, str) else json.dumps(value)
                text = quote(text[:3000], safe="")
                if parameter["in"] == "path":
                    address = address.replace("{" + parameter["name"] + "}", text or "x")
                elif parameter["required"] or self.random.random() < 0.5:
                    query.append(f"{parameter['name']}={text}")
            arguments: dict[str, Any] = {}
            content = operation.get("requestBody", {}).get("content", {})
            if "application/json" in content:
                body = self.random.choice(BODIES) if self.random.random() < 0.1 else None
                if body is None:
                    body = json.dumps(self.value(content["application/json"]["schema"])).encode()
                arguments = {"data": body, "headers": {"Content-Type": "application/json"}}
            elif content:
                arguments = {"data": {"file": BytesIO(self.random.randbytes(50)), "dry_run": "maybe"}}
            yield address + ("?" + "&".join(query) if query else ""), arguments


@pytest.mark.slow
async def test_nothing_gives_a_fault(console: Console) -> None:
    described = (await console.ask("GET", "/api/v1/openapi.json")).json
    maker = Maker(20261123, described["components"]["schemas"])
    counts: dict[int, int] = {}
    for _ in range(2):
        for path, operations in described["paths"].items():
            for method, operation in operations.items():
                if any("event-stream" in kind for kind in operation["responses"].get("200", {}).get("content", {})):
                    continue
                for address, arguments in maker.requests(path.removeprefix("/api/v1"), operation):
                    answer = await console.api(method.upper(), address, **arguments)
                    counts[answer.status] = counts.get(answer.status, 0) + 1
                    assert answer.status < 500, (method, address, arguments, answer.text)
                    if answer.status >= 400:
                        assert answer.headers["Content-Type"].startswith("application/problem+json"), address
                        assert answer.json["status"] == answer.status
                        assert answer.json["detail"]
                    else:
                        assert str(answer.status) in operation["responses"], (method, address, answer.status)
    assert counts[200] > 100
    assert counts[201] > 20
    assert counts[422] > 300


async def test_every_operation_stands_in_the_role_table_and_is_described(console: Console) -> None:
    from appserver.api.table import whole_api
    from appserver.auth.roles import API_ACCESS, PAGE_ACCESS

    described = (await console.ask("GET", "/api/v1/openapi.json")).json
    operations = {(o.path, o.method) for o in whole_api().operations}
    table = {(path, method) for path, access in API_ACCESS.items() for method in access}
    assert operations | {("/openapi.json", "GET")} == table
    assert len(operations) == sum(len(methods) for methods in described["paths"].values())
    names = [operation["operationId"] for methods in described["paths"].values() for operation in methods.values()]
    assert len(names) == len(set(names))
    from appserver.server import make_app

    app = make_app(console.services)
    pages = {
        (route.resource.canonical, route.method)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD" and not route.resource.canonical.startswith("/api/v1/")
    }
    assert pages == {(path, method) for path, access in PAGE_ACCESS.items() for method in access}
