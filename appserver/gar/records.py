"""Records of one XML file as a stream: each is one empty element with attributes, nothing else is taken.

A file from outside may be hostile: document types and with them entities are refused, so is anything nested deeper than ГАР
nests, and any element too long to be a record. Memory does not depend on the size of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO
from xml.parsers import expat

from appserver.gar.errors import GarError

CHUNK = 1 << 18
MAX_ELEMENT = 1 << 20
"""Bytes of one element; the longest name in ГАР has some hundred."""
MAX_DEPTH = 4

Record = dict[str, str]


def records(stream: IO[bytes], name: str, progress: Callable[[int], None] | None = None) -> Iterator[Record]:
    """The attributes of every element below the root. ``progress`` gets the bytes read so far. Raises GarError."""
    found: list[Record] = []
    depth = 0

    def refused(*_: object) -> None:
        raise GarError(f"{name}: it declares a document type or entities, which files of ГАР never do; it is not read.")

    def begin(_: str, attributes: Record) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise GarError(f"{name}: its elements are nested {depth} deep; this is no file of ГАР.")
        if depth > 1:
            found.append(attributes)

    def end(_: str) -> None:
        nonlocal depth
        depth -= 1

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = parser.UnparsedEntityDeclHandler = refused
    parser.ExternalEntityRefHandler = refused
    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.buffer_text = False
    read = 0
    try:
        while chunk := stream.read(CHUNK):
            read += len(chunk)
            parser.Parse(chunk, False)
            if read - max(parser.CurrentByteIndex, 0) > MAX_ELEMENT:
                raise GarError(f"{name}: an element is longer than {MAX_ELEMENT} bytes; this is no file of ГАР.")
            yield from found
            found.clear()
            if progress is not None:
                progress(read)
        parser.Parse(b"", True)
        yield from found
    except expat.ExpatError as error:
        raise GarError(f"{name}: line {error.lineno}: it is damaged ({error}); fetch it again.") from error
