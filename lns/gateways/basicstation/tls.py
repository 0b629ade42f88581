"""TLS of the station server: a context that follows its files."""

from __future__ import annotations

import ssl
from pathlib import Path

from lns.settings import BasicStationSettings


class Certificates:
    """The server's certificate, its key and the authority of the stations' certificates, read anew when a file changes."""

    def __init__(self, settings: BasicStationSettings) -> None:
        """Raises OSError or ssl.SSLError that names the file and the setting."""
        self._settings = settings
        self._files = [
            path for path in (settings.certificate, settings.private_key, settings.client_ca) if path is not None
        ]
        self.context: ssl.SSLContext | None = self._load() if settings.certificate is not None else None
        self._seen = self._stamp()

    def reload(self) -> bool:
        """Make a new context when a file has changed; True then. Raises as the beginning does; the old one is then kept."""
        stamp = self._stamp()
        if self.context is None or stamp == self._seen:
            return False
        self._seen = stamp
        self.context = self._load()
        return True

    def _load(self) -> ssl.SSLContext:
        settings = self._settings
        assert settings.certificate is not None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(settings.certificate, settings.private_key)
        except (OSError, ssl.SSLError) as error:
            raise _named(
                error, f"certificate = {settings.certificate} with private_key = {settings.private_key}"
            ) from error
        if settings.client_ca is not None:
            try:
                context.load_verify_locations(settings.client_ca)
            except (OSError, ssl.SSLError) as error:
                raise _named(error, f"client_ca = {settings.client_ca}") from error
            context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def _stamp(self) -> list[tuple[int, int] | None]:
        return [_stamp(path) for path in self._files]


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _named(error: OSError, what: str) -> OSError:
    reason = error.strerror or str(error)
    return OSError(error.errno, f"[gateways.basicstation] {what} cannot be used: {reason}")
