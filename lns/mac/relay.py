"""What the relay commands have in common: an acknowledged one is kept as it travels, without keys and counters.

A relay and a device behind one are told by the same kind of negotiation as all parameters; their values are the commands
themselves, one of each kind and index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from lns.radio import RadioParameters
from lorawan.commands import (
    Command,
    ConfigureFwdLimitReq,
    EndDeviceConfReq,
    FilterListReq,
    RelayConfReq,
    UpdateUplinkListReq,
    parse_commands,
)
from regional import Plan

if TYPE_CHECKING:
    from internalapi.mac import RelaySettings, RelayUse

NO_LIMIT = 127
NO_LIMIT_OF_A_DEVICE = 63
KEEP_COUNTERS = 3
MODES = ("off", "on", "dynamic", "device")
ACTIONS = {"forward": 1, "filter": 2}
NO_KEY = bytes(16)


@lru_cache(maxsize=4096)
def parsed(relay: tuple[bytes, ...]) -> tuple[Command, ...]:
    """The commands of ``RadioParameters.relay``."""
    return tuple(command for data in relay for command in parse_commands(data, uplink=False))


def key_of(command: Command) -> tuple[int, int]:
    """What a command sets: its kind and, in a list, the place."""
    return command.cid, getattr(command, "index", 0)


def kept(relay: tuple[bytes, ...], command: Command) -> tuple[bytes, ...]:
    """``relay`` with this command in its place."""
    others = [one for one in parsed(relay) if key_of(one) != key_of(command)]
    return tuple(one.encode() for one in sorted((*others, command), key=key_of))


def dropped(relay: tuple[bytes, ...], key: tuple[int, int]) -> tuple[bytes, ...]:
    return tuple(one.encode() for one in parsed(relay) if key_of(one) != key)


def desired_of(kind: type[Command]) -> Callable[[RadioParameters, RadioParameters, Plan], list[Command]]:
    """Commands of a kind that the device shall have and has not."""

    def desired(radio: RadioParameters, wanted: RadioParameters, plan: Plan) -> list[Command]:
        if radio.relay == wanted.relay:
            return []
        has = set(radio.relay)
        return [one for one in parsed(wanted.relay) if isinstance(one, kind) and one.encode() not in has]

    return desired


def applied(radio: RadioParameters, request: Command, plan: Plan) -> RadioParameters:
    return radio._replace(relay=kept(radio.relay, request))


def wanted(is_relay: bool, settings: RelaySettings | None, use: RelayUse | None) -> tuple[bytes, ...]:
    """What a profile wants, as ``RadioParameters.relay``."""
    commands: list[Command] = []
    if is_relay and settings is not None:
        commands += _of_relay(settings)
    if use is not None:
        commands.append(
            EndDeviceConfReq(
                MODES.index(use.mode),
                use.smart_enable_level,
                use.back_off,
                int(use.second_channel_hz > 0),
                use.second_channel_dr,
                use.second_channel_ack_offset,
                use.second_channel_hz,
            )
        )
    return tuple(command.encode() for command in sorted(commands, key=key_of))


def _of_relay(settings: RelaySettings) -> Iterable[Command]:
    yield RelayConfReq(
        True,
        settings.cad_periodicity,
        settings.default_channel,
        int(settings.second_channel_hz > 0),
        settings.second_channel_dr,
        settings.second_channel_ack_offset,
        settings.second_channel_hz,
    )
    place = 0
    for rule in settings.filters:
        place = place + 1 if rule.eui else place
        yield FilterListReq(place if rule.eui else 0, ACTIONS[rule.action], bytes.fromhex(rule.eui))
    yield ConfigureFwdLimitReq(
        KEEP_COUNTERS,
        _rate(settings.joins_per_hour),
        _rate(settings.notices_per_hour),
        _rate(settings.uplinks_per_hour),
        _rate(settings.total_per_hour),
        0,
        0,
        0,
        0,
    )


def _rate(per_hour: int | None) -> int:
    return NO_LIMIT if per_hour is None else per_hour


def reload_rate(settings: RelaySettings | None) -> int:
    """Uplinks per hour that a relay forwards of one trusted device."""
    rate = settings.uplinks_per_hour_of_a_device if settings is not None else None
    return NO_LIMIT_OF_A_DEVICE if rate is None else rate


def trusted(relay: tuple[bytes, ...]) -> dict[int, UpdateUplinkListReq]:
    """The devices that a relay trusts, by their place in its list."""
    return {one.index: one for one in parsed(relay) if isinstance(one, UpdateUplinkListReq)}
