"""The registry: organisations, buildings, premises, points, meters, installations, channels of radio modules."""

from appserver.errors import RegistryError
from appserver.registry.crud import Page, create, delete, get, page, update
from appserver.registry.installations import (
    bind_channel,
    close_channel,
    install,
    remove,
    replace_meter,
    set_device_clock,
)

__all__ = [
    "Page",
    "RegistryError",
    "bind_channel",
    "close_channel",
    "create",
    "delete",
    "get",
    "install",
    "page",
    "remove",
    "replace_meter",
    "set_device_clock",
    "update",
]
