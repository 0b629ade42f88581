"""Structured logs: for people on a terminal, JSON lines in a pipe, never with keys."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

HIDDEN = ("key", "password", "secret", "token", "kek", "authorization", "cookie")


def hide_secrets(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace values whose name says that they are secret."""
    for name in event:
        if name.lower().endswith(HIDDEN):
            event[name] = "********"
    return event


def configure(role: str, level: str = "info", form: Literal["auto", "console", "json"] = "auto") -> None:
    """Send the logs of structlog and of the standard library to standard error as ``form`` says."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())

    def add_role(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["role"] = role
        return event

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        add_role,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        hide_secrets,
    ]
    renderer: Any = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if console
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    ending: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if not console:
        ending.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder(), hide_secrets],
            processors=[*ending, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("aiohttp.access", "alembic.runtime.plugins"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
