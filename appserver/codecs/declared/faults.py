"""Faults of a codec's file: which file, which line, which key, what is wrong and what to write."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

Path = tuple[str | int, ...]
"""Keys and positions from the top of the file, positions from 0."""

MAX_FAULTS = 20


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to put right."""

    line: int
    """From 1."""
    key: str
    text: str


class RecordError(ValueError):
    """The file is no codec; ``faults`` says why, in the order of the file."""

    def __init__(self, file: str, faults: Sequence[Fault]) -> None:
        self.file = file
        self.faults = sorted(faults, key=lambda fault: fault.line)[:MAX_FAULTS]
        super().__init__("\n".join(f"{file}:{f.line}: {f.key}: {f.text}" for f in self.faults))


def name_of(path: Path) -> str:
    """``packet 1, fields 3, scale``: a path for people, positions from 1."""
    words: list[str] = []
    for step in path:
        if isinstance(step, int):
            words[-1] = f"{words[-1]} {step + 1}"
        else:
            words.append(step)
    return ", ".join(words) or "the file"


_TOKEN = re.compile(r'"""|\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*|[\[\]{},\n=]|[A-Za-z0-9_-]+')


def _end(text: str, start: int) -> int:
    """The offset after the bracket that closes the one at ``start``."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        if token[0] in "[{":
            depth += 1
        elif token[0] in "]}":
            depth -= 1
            if depth == 0:
                return token.end()
    return len(text)


def _items(text: str, start: int) -> list[int]:
    """Where the items of the inline array at ``start`` begin."""
    found, depth, fresh = [], 0, False
    for token in _TOKEN.finditer(text, start):
        word = token[0]
        if word[0] in "#\n":
            continue
        if fresh and depth == 1 and word not in ",]":
            found.append(token.start())
            fresh = False
        if word in "[{":
            depth += 1
            fresh = fresh or depth == 1
        elif word in "]}":
            depth -= 1
            if depth == 0:
                break
        elif word == "," and depth == 1:
            fresh = True
    return found


def _key(text: str, key: str, start: int, end: int) -> int | None:
    """The offset of ``key =`` between two offsets, not inside of another bracket."""
    depth = 0
    tokens = list(_TOKEN.finditer(text, start, end))
    for n, token in enumerate(tokens):
        word, following = token[0], tokens[n + 1] if n + 1 < len(tokens) else None
        if word in "[{":
            depth += 1
        elif word in "]}":
            depth -= 1
        elif depth == 0 and word.strip("\"'") == key and following is not None and following[0] == "=":
            return token.start()
    return None


def _headers(text: str, dotted: str, start: int, end: int) -> list[tuple[int, int]]:
    """The tables ``[dotted]`` or ``[[dotted]]`` between two offsets: where each begins and ends."""
    starts = [m.start() for m in re.finditer(rf"^[ \t]*\[\[?[ \t]*{re.escape(dotted)}[ \t]*\]", text, re.M)]
    starts = [at for at in starts if start <= at < end]
    found = []
    for at in starts:
        tail = re.compile(rf"^[ \t]*\[\[?[ \t]*(?!{re.escape(dotted)}\.)", re.M).search(text, text.find("\n", at) + 1)
        found.append((at, min(tail.start() if tail else len(text), end)))
    return found


def line_of(text: str, path: Path) -> int:
    """The line (from 1) where ``path`` stands in a TOML text, or as near to it as can be found."""
    at, start, end, dotted, inline = 0, 0, len(text), "", False
    steps = list(path)
    while steps:
        key = str(steps.pop(0))
        position = steps.pop(0) if steps and isinstance(steps[0], int) else None
        dotted = f"{dotted}.{key}" if dotted else key
        tables = [] if inline else _headers(text, dotted, start, end)
        if isinstance(position, int) and position < len(tables):
            at, end = tables[position]
            start = text.find("\n", at) + 1 or end
            continue
        if not inline:
            header = re.compile(r"^[ \t]*\[", re.M).search(text, start, end)
            limit = header.start() if header else end
        else:
            limit = end
        found = _key(text, key, start, limit)
        if found is None:
            break
        at, inline = found, True
        value = re.compile(r"=\s*").search(text, found)
        start = value.end() if value else found
        if isinstance(position, int):
            items = _items(text, start)
            if position >= len(items):
                break
            at = start = items[position]
        if text[start : start + 1] in ("{", "["):
            end = _end(text, start) - 1
            start += 1
    return text.count("\n", 0, at) + 1
