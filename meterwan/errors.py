"""How a command fails: one line that says what happened, where, and what to do."""

from __future__ import annotations


class Failure(Exception):
    """The command could not do its work. The text is what the user reads; the exit status is 1."""


class SettingsError(Failure):
    """Settings are wrong; one line for each wrong key."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
