"""The registry: organisations, buildings, premises, points, meters, installations, channels of radio modules."""

from appserver.errors import RegistryError
from appserver.models import RegistryEvent
from appserver.registry.crud import Page, create, delete, get, page, update
from appserver.registry.installations import (
    bind_channel,
    close_channel,
    install,
    remove,
    replace_meter,
    set_device_clock,
)
from appserver.registry.journal import SYSTEM, Belief, Note, add_note, believed, events
from appserver.registry.kinds import KINDS

__all__ = [
    "KINDS",
    "SYSTEM",
    "Belief",
    "Note",
    "Page",
    "RegistryError",
    "RegistryEvent",
    "add_note",
    "believed",
    "bind_channel",
    "close_channel",
    "create",
    "delete",
    "events",
    "get",
    "install",
    "page",
    "remove",
    "replace_meter",
    "set_device_clock",
    "update",
]
