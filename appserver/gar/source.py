"""Where the files are: ``gar_xml.zip`` as published, a folder of it unpacked, or the folder of one region."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from appserver.gar.errors import GarError

_NAME = re.compile(r"(?:(?P<region>\d\d)/)?(?P<kind>AS_[A-Z_]+?)_(?P<stamp>\d{8})_[0-9a-f-]{36}\.xml", re.IGNORECASE)
"""``74/AS_HOUSES_20260903_1d6f….XML``; tables for all regions lie beside the folders."""


@dataclass(frozen=True, slots=True)
class File:
    """One XML file."""

    kind: str
    """``AS_HOUSES`` …"""
    region: str
    """Two digits, empty for a table that all regions share."""
    stamp: str
    """Day of the extract, ``20260903``."""
    name: str
    """Within the source."""
    size: int
    """Bytes, unpacked."""


class Source:
    """An archive or a folder; use it as a context manager. Raises GarError."""

    def __init__(self, path: Path, region: str = "") -> None:
        """``region`` is for the folder of one region, whose files stand there without a folder of their own."""
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        try:
            if path.is_dir():
                names = [(str(p.relative_to(path)), p.stat().st_size) for p in path.rglob("*") if p.is_file()]
            else:
                self._zip = zipfile.ZipFile(path)
                names = [(entry.filename, entry.file_size) for entry in self._zip.infolist()]
        except (OSError, zipfile.BadZipFile) as error:
            raise GarError(f"{path} is neither a folder nor a ZIP archive that can be read: {error}.") from error
        self.files = [file for name, size in names if (file := _file(name, size)) is not None]
        if region and not self.regions:
            self.files = [replace(file, region=region) for file in self.files]
        if not self.files:
            raise GarError(f"{path} holds no file like 74/AS_HOUSES_20260903_….XML; take gar_xml.zip as published.")

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        if self._zip is not None:
            self._zip.close()

    @property
    def regions(self) -> list[str]:
        """Codes of the regions that are there."""
        return sorted({file.region for file in self.files if file.region})

    def find(self, kind: str, region: str = "") -> list[File]:
        """Files of a kind, oldest first."""
        found = [file for file in self.files if (file.kind, file.region) == (kind, region)]
        return sorted(found, key=lambda file: file.stamp)

    @contextmanager
    def open(self, file: File) -> Iterator[IO[bytes]]:
        """The bytes of a file as a stream. Raises GarError."""
        try:
            with self._zip.open(file.name) if self._zip is not None else (self.path / file.name).open("rb") as stream:
                yield stream
        except (OSError, zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError) as error:
            raise GarError(f"{file.name} of {self.path} cannot be read: {error}.") from error


def _file(name: str, size: int) -> File | None:
    parts = name.replace("\\", "/").split("/")
    match = _NAME.fullmatch("/".join(parts[-2:])) or _NAME.fullmatch(parts[-1])
    if match is None:
        return None
    return File(match["kind"].upper(), match["region"] or "", match["stamp"], name, size)
