"""The part of YAML that device catalogues are written in: mappings, lists, plain and quoted scalars, flow collections,
block texts. Anchors, tags, merges and several documents are not; they raise YamlError.
"""

from __future__ import annotations

import json
import re
from typing import Any

MAX_DEPTH = 40
_KEY = re.compile(
    r"""("(?:\\.|[^"\\])*"|'(?:[^']|'')*'|[^\s#'"\[\]{},&*!|>%@`-][^#:]*?|-[^\s#:][^#:]*?)\s*:(?:\s+|$)"""
)
_INTEGER = re.compile(r"[-+]?(?:0|[1-9]\d*)")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


class YamlError(ValueError):
    """The text is no YAML, or more of it than is read here; says the line."""


def read_yaml(text: str) -> Any:
    """The value of a text. Raises YamlError."""
    reader = _Reader(text)
    value = reader.block(0, 0) if reader.lines else None
    if reader.at < len(reader.lines):
        raise reader.error("is indented wrongly")
    return value


def _uncommented(line: str) -> str:
    """A line without its comment, which a quote may hold off."""
    quote = ""
    for n, letter in enumerate(line):
        if quote:
            if letter == quote and (quote == "'" or line[n - 1] != "\\"):
                quote = ""
        elif letter in "\"'" and (n == 0 or line[n - 1] in " [{,:-"):
            quote = letter
        elif letter == "#" and (n == 0 or line[n - 1] in " \t"):
            return line[:n].rstrip()
    return line.rstrip()


class _Reader:
    def __init__(self, text: str) -> None:
        self.raw = text.replace("\t", "  ").splitlines()
        self.lines: list[tuple[int, int, str]] = []
        """Number, indentation and content of each line that has any."""
        for number, line in enumerate(self.raw, 1):
            content = _uncommented(line)
            if content.strip() and content.strip() != "---":
                self.lines.append((number, len(content) - len(content.lstrip()), content.strip()))
        self.at = 0

    def error(self, text: str) -> YamlError:
        number = self.lines[min(self.at, len(self.lines) - 1)][0] if self.lines else 1
        return YamlError(f"line {number} {text}")

    def block(self, indent: int, depth: int) -> Any:
        """The value that begins at the current line."""
        if depth > MAX_DEPTH:
            raise self.error("is nested too deeply")
        _, own, content = self.lines[self.at]
        if own < indent:
            return None
        if content == "-" or content.startswith("- "):
            return self._list(own, depth)
        if _KEY.match(content) and content[0] not in "[{":
            return self._mapping(own, depth)
        self.at += 1
        return self._inline(content, own)

    def _list(self, indent: int, depth: int) -> list[Any]:
        found: list[Any] = []
        while self.at < len(self.lines):
            number, own, content = self.lines[self.at]
            if own != indent or not (content == "-" or content.startswith("- ")):
                break
            rest = content[1:].lstrip()
            if not rest:
                self.at += 1
                below = self.at < len(self.lines) and self.lines[self.at][1] > indent
                found.append(self.block(indent + 1, depth + 1) if below else None)
                continue
            # What stands behind the hyphen begins a block of its own, as far to the right as it stands.
            self.lines[self.at] = (number, own + len(content) - len(rest), rest)
            found.append(self.block(indent + 1, depth + 1))
        return found

    def _mapping(self, indent: int, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self.at < len(self.lines):
            number, own, content = self.lines[self.at]
            match = _KEY.match(content)
            if own != indent or match is None:
                break
            key = str(_scalar(match[1]))
            if key == "<<":
                raise self.error("has a merge, which is not read here")
            rest = content[match.end() :].strip()
            self.at += 1
            if rest and rest[0] in "|>":
                found[key] = self._text(number, indent, rest)
            elif rest:
                found[key] = self._inline(rest, indent)
            else:
                found[key] = self._below(indent, depth)
        return found

    def _below(self, indent: int, depth: int) -> Any:
        if self.at >= len(self.lines):
            return None
        _, own, content = self.lines[self.at]
        if own > indent or (own == indent and (content == "-" or content.startswith("- "))):
            return self.block(own, depth + 1)
        return None

    def _text(self, number: int, indent: int, style: str) -> str:
        """A block text: the lines that stand further to the right."""
        taken: list[str] = []
        last = number
        for last in range(number, len(self.raw)):
            line = self.raw[last]
            if line.strip() and len(line) - len(line.lstrip()) <= indent:
                break
            taken.append(line.strip())
            last += 1
        while self.at < len(self.lines) and self.lines[self.at][0] <= last:
            self.at += 1
        return ("\n" if style[0] == "|" else " ").join(taken).strip()

    def _inline(self, text: str, indent: int) -> Any:
        """A scalar or a flow collection, which may go on in the next lines."""
        if text[0] in "&*!%@`":
            self.at -= 1
            raise self.error(f"has {text[0]!r}, which is not read here")
        if text[0] not in "[{\"'":
            while self.at < len(self.lines) and self.lines[self.at][1] > indent:  # a plain text goes on
                if _KEY.match(self.lines[self.at][2]):
                    raise self.error("is indented wrongly")
                text += " " + self.lines[self.at][2]
                self.at += 1
            return _scalar(text)
        while True:
            try:
                value, end = _flow(text, 0, 0)
            except _Unfinished:
                if self.at >= len(self.lines):
                    raise self.error("ends inside of a bracket or a quote") from None
                text += " " + self.lines[self.at][2]
                self.at += 1
                continue
            if text[end:].strip():
                raise self.error("has something behind a closing bracket or quote")
            return value


class _Unfinished(Exception):
    """The text ends inside of a bracket or a quote."""


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] == " ":
        at += 1
    if at >= len(text):
        raise _Unfinished
    return at


def _flow(text: str, at: int, depth: int) -> tuple[Any, int]:
    """The value at an offset of a flow collection, and the offset after it."""
    if depth > MAX_DEPTH:
        raise YamlError("a collection is nested too deeply")
    at = _skip(text, at)
    if text[at] == "[":
        items: list[Any] = []
        at = _skip(text, at + 1)
        while text[at] != "]":
            value, at = _flow(text, at, depth + 1)
            items.append(value)
            at = _skip(text, at)
            if text[at] == ",":
                at = _skip(text, at + 1)
            elif text[at] != "]":
                raise YamlError(f"a list has {text[at]!r} where a comma must be")
        return items, at + 1
    if text[at] == "{":
        pairs: dict[str, Any] = {}
        at = _skip(text, at + 1)
        while text[at] != "}":
            key, at = _token(text, at, ":,}")
            at = _skip(text, at)
            value = None
            if text[at] == ":":
                at = _skip(text, at + 1)
                if text[at] not in ",}":
                    value, at = _flow(text, at, depth + 1)
                    at = _skip(text, at)
            pairs[str(key)] = value
            if text[at] == ",":
                at = _skip(text, at + 1)
            elif text[at] != "}":
                raise YamlError(f"a mapping has {text[at]!r} where a comma must be")
        return pairs, at + 1
    return _token(text, at, ",]}" if depth else "")


def _token(text: str, at: int, ends: str) -> tuple[Any, int]:
    if text[at] in "\"'":
        match = re.compile(r'"(?:\\.|[^"\\])*"' if text[at] == '"' else r"'(?:[^']|'')*'").match(text, at)
        if match is None:
            raise _Unfinished
        return _scalar(match[0]), match.end()
    end = at
    while end < len(text) and text[end] not in ends:
        end += 1
    return _scalar(text[at:end].strip()), end


def _scalar(text: str) -> Any:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        try:
            return json.loads(re.sub(r"\\x([0-9a-fA-F]{2})", r"\\u00\1", text), strict=False)
        except ValueError:
            return text[1:-1]
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _HEX.fullmatch(text):
        return int(text, 16)
    if _FLOAT.fullmatch(text) and not re.fullmatch(r"0\d+", text):
        return float(text)
    return text
