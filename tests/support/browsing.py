"""A page of the browser that is listened to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from playwright.async_api import Page


@dataclass
class Watched:
    """A page with all it complained about."""

    page: Page
    base: str
    complaints: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    async def go(self, path: str) -> None:
        answer = await self.page.goto(self.base + path)
        assert answer is not None
        assert answer.ok, (path, answer.status)

    def assert_quiet(self) -> None:
        """No error, no violation of the content security policy, no request to elsewhere, no dialog."""
        assert self.complaints == []
        assert self.foreign == []

    async def is_wider_than_the_screen(self) -> bool:
        return await self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")


Visit = Callable[..., Awaitable[Watched]]
