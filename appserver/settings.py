"""Settings of the application process: plain values, no reading of files or environment."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Section(BaseModel):
    """A part of the settings; an unknown key is an error that names it."""

    model_config = ConfigDict(extra="forbid")


class HttpSettings(Section):
    """The console and the API."""

    listen: str = "127.0.0.1:8080"
    """``host:port``; port 0 takes a free one."""
    public_url: str = ""
    """The address people type, e.g. ``https://meters.example.org``; with ``https`` cookies are marked Secure."""
    trusted_proxies: list[str] = []
    """Addresses or networks whose ``X-Forwarded-For`` is believed."""
    allowed_hosts: list[str] = []
    """Host names served besides the public URL's, ``localhost`` and plain IP addresses."""
    metrics_public: bool = False
    """Whether ``/metrics`` answers to other machines without a token."""
    session_idle_minutes: int = Field(30, ge=1, le=1440)
    session_absolute_hours: int = Field(12, ge=1, le=168)
    max_body_kib: int = Field(1024, ge=16, le=65536)
    max_import_mib: int = Field(50, ge=1, le=1024)

    @field_validator("listen")
    @classmethod
    def _listen_is_an_address(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise ValueError("write it as host:port, for example 127.0.0.1:8080")
        return value

    @field_validator("public_url")
    @classmethod
    def _public_url_is_http(cls, value: str) -> str:
        if value and (urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname):
            raise ValueError("write it as http://host or https://host")
        return value.rstrip("/")

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies_are_networks(cls, value: list[str]) -> list[str]:
        for item in value:
            ipaddress.ip_network(item, strict=False)
        return value

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])

    @property
    def secure(self) -> bool:
        """Whether people reach the console over TLS."""
        return self.public_url.startswith("https://")


class NotificationSettings(Section):
    """How people are told of incidents."""

    smtp_host: str = ""
    """Mail server; empty: no e-mail goes out."""
    smtp_port: int = Field(587, ge=1, le=65535)
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str = ""
    smtp_password: str = ""
    smtp_sender: str = "meterwan@localhost"


class ApplicationSettings(Section):
    """Everything the application process needs to know before it starts."""

    data_dir: Path = Path("./data")
    database_url: str = ""
    """Empty: ``application.db`` in the data folder."""
    http: HttpSettings = HttpSettings()
    language: Literal["ru", "en"] = "ru"
    """Language of people who did not choose one and whose browser asks for neither."""
    timezone: str = "Europe/Moscow"
    """Zone of times that belong to no building and to no user."""
    notifications: NotificationSettings = NotificationSettings()
    webhook_allow: list[str] = []
    """Networks and hosts that webhooks may call although they are not public, e.g. ``10.0.0.0/8``."""
    password_memory_kib: int = Field(65536, ge=8, le=1048576)
    """Memory that one password check costs (argon2id); lower it only for trials."""

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        ZoneInfo(value)
        return value
