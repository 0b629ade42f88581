"""Refusals of the internal API."""

from __future__ import annotations

from internalapi.messages import Problem

STATUS = {"not_found": 404, "conflict": 409, "invalid": 422, "unavailable": 503, "unauthorised": 401}


class Refused(Exception):
    """A request that cannot be served. ``code`` is one of :data:`STATUS`."""

    def __init__(self, code: str, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.problem = Problem(code, detail, field)

    @property
    def status(self) -> int:
        return STATUS[self.problem.code]


def not_found(what: str, key: str) -> Refused:
    return Refused("not_found", f"{what} {key} does not exist")


def invalid(detail: str, field: str | None = None) -> Refused:
    return Refused("invalid", detail, field)
