"""Scenarios: TOML files that say what is simulated. An unknown key or a wrong type is an error that names the key."""

from __future__ import annotations

import dataclasses
import tomllib
import types
from importlib import resources
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from lorasim import assertions, plausible
from lorasim.backhaul import Backhaul
from lorasim.meters.config import INCIDENTS, RESOURCES, MeterGroup
from lorasim.meters.payloads import LAYOUTS, USUAL
from lorasim.propagation import SURROUNDINGS
from lorasim.station_entry import check as check_gateway
from lorasim.tables import Clock, DeviceGroup, GatewayEntry, House, Radio, Scenario
from lorasim.timeline import check as check_event

__all__ = [
    "Backhaul",
    "Clock",
    "DeviceGroup",
    "GatewayEntry",
    "House",
    "Radio",
    "Scenario",
    "ScenarioError",
    "group_names",
    "load",
    "names",
    "parse",
    "scaled",
    "titles",
]


class ScenarioError(ValueError):
    """The scenario cannot be used; the text says which key and why."""


def names() -> list[str]:
    """Scenarios that come with the program."""
    folder = resources.files("lorasim") / "scenarios"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def titles() -> dict[str, str]:
    """What comes with the program: names and titles."""
    return {name: load(name).title for name in names()}


def scaled(scenario: Scenario, share: float) -> Scenario:
    """The same with a share of the devices of each group, at least one."""
    few = [
        [dataclasses.replace(group, count=max(1, round(group.count * share))) for group in groups]
        for groups in (scenario.devices, scenario.meters)
    ]
    return dataclasses.replace(scenario, devices=few[0], meters=few[1])


def group_names(scenario: Scenario) -> list[str]:
    """What assertions and reports call the scenario's devices."""
    of_devices = [group.name or "devices" for group in scenario.devices]
    of_meters = [group.name or "meters" for group in scenario.meters]
    return [*(["house"] if scenario.house else []), *of_devices, *of_meters]


def load(name_or_path: str | Path) -> Scenario:
    """A scenario by its name (see :func:`names`) or from a TOML file. Raises :class:`ScenarioError`."""
    path = Path(name_or_path)
    if path.suffix == ".toml":
        if not path.is_file():
            raise ScenarioError(f"{path}: no such file")
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ScenarioError(f"{path}: not a text in UTF-8 ({error.reason}, byte {error.start})") from None
    elif str(name_or_path) in names():
        text = (resources.files("lorasim") / "scenarios" / f"{name_or_path}.toml").read_text(encoding="utf-8")
    else:
        raise ScenarioError(f"no scenario {str(name_or_path)!r}: there are {', '.join(names())}; or give a .toml file")
    return parse(text)


def parse(text: str) -> Scenario:
    """A scenario from TOML text. Raises :class:`ScenarioError`."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"not TOML: {error}") from error
    scenario: Scenario = _build(Scenario, table, "")
    for index, gateway in enumerate(scenario.gateways):
        _check_eui(gateway.eui, f"gateways.{index}.eui")
        if gateway.forwarder not in ("1301", "1302"):
            raise ScenarioError(f"gateways.{index}.forwarder: {gateway.forwarder!r} is neither '1301' nor '1302'")
        try:
            check_gateway(gateway)
        except ValueError as error:
            raise ScenarioError(f"gateways.{index}.{error}") from error
    for kind in scenario.radio.surroundings:
        if kind not in SURROUNDINGS:
            raise ScenarioError(f"radio.surroundings: {kind!r} is none of {', '.join(SURROUNDINGS)}")
    for index, group in enumerate(scenario.devices):
        _check_eui(group.dev_eui, f"devices.{index}.dev_eui")
        _check_eui(group.join_eui, f"devices.{index}.join_eui")
    for index, meters in enumerate(scenario.meters):
        _check_meters(meters, f"meters.{index}.")
    for index, event in enumerate(scenario.events):
        try:
            check_event(event)
        except ValueError as error:
            raise ScenarioError(f"events.{index}.{error}") from error
    for index, assertion in enumerate(scenario.assertions):
        try:
            assertions.check(assertion)
        except ValueError as error:
            raise ScenarioError(f"assert.{index}: {error}") from error
    if scenario.clock.speed <= 0:
        raise ScenarioError(f"clock.speed: {scenario.clock.speed} must be above 0")
    if complaint := plausible.complaint(scenario):
        raise ScenarioError(complaint)
    return scenario


def _check_meters(group: MeterGroup, where: str) -> None:
    _check_eui(group.dev_eui, f"{where}dev_eui")
    _check_eui(group.join_eui, f"{where}join_eui")
    if group.resource not in RESOURCES:
        raise ScenarioError(f"{where}resource: {group.resource!r} is none of {', '.join(RESOURCES)}")
    fitting = [name for name, layout in LAYOUTS.items() if group.resource in layout.resources]
    if (group.payload or USUAL[group.resource]) not in fitting:
        raise ScenarioError(f"{where}payload: {group.payload!r}; for {group.resource} there are {', '.join(fitting)}")
    if group.every_h <= 0:
        raise ScenarioError(f"{where}every_h: {group.every_h} must be above 0")
    for index, incident in enumerate(group.incidents):
        if incident.kind not in INCIDENTS:
            kinds = ", ".join(INCIDENTS)
            raise ScenarioError(f"{where}incidents.{index}.kind: {incident.kind!r} is none of {kinds}")


def _check_eui(text: str, where: str) -> None:
    if len(text) != 16 or set(text) - set("0123456789abcdef"):
        raise ScenarioError(f"{where}: {text!r} is not 16 lower-case hex digits")


def _build(cls: type[Any], table: dict[str, Any], where: str) -> Any:
    hints = get_type_hints(cls)
    fields = {f.metadata.get("key", f.name): f.name for f in dataclasses.fields(cls)}  # some keys are words of Python
    unknown = sorted(set(table) - set(fields))
    if unknown:
        raise ScenarioError(f"{where}{unknown[0]}: unknown key; known are {', '.join(fields)}")
    values = {fields[key]: _convert(hints[fields[key]], value, f"{where}{key}") for key, value in table.items()}
    for f in dataclasses.fields(cls):
        required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if required and f.name not in values:
            raise ScenarioError(f"{where}{f.name}: missing")
    return cls(**values)


def _convert(kind: Any, value: Any, where: str) -> Any:
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(k for k in get_args(kind) if k is not type(None))
    if get_origin(kind) is list:
        if not isinstance(value, list):
            raise ScenarioError(f"{where}: expected a list of tables")
        return [_convert(get_args(kind)[0], item, f"{where}.{i}") for i, item in enumerate(value)]
    if get_origin(kind) is tuple:
        kinds = get_args(kind)
        if not isinstance(value, list) or len(value) != len(kinds):
            raise ScenarioError(f"{where}: expected a list of {len(kinds)} values")
        return tuple(
            _convert(each, item, f"{where}.{i}") for i, (each, item) in enumerate(zip(kinds, value, strict=True))
        )
    if get_origin(kind) is frozenset:
        if not isinstance(value, list):
            raise ScenarioError(f"{where}: expected a list")
        return frozenset(_convert(get_args(kind)[0], item, f"{where}.{i}") for i, item in enumerate(value))
    if get_origin(kind) is dict:
        if not isinstance(value, dict):
            raise ScenarioError(f"{where}: expected a table")
        return {key: _convert(get_args(kind)[1], item, f"{where}.{key}") for key, item in value.items()}
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, dict):
            raise ScenarioError(f"{where}: expected a table")
        return _build(kind, value, f"{where}.")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ScenarioError(f"{where}: {value!r} is not {kind.__name__}")
    return value


def without_secrets(plan: dict[str, Any]) -> dict[str, Any]:
    """A scenario as a recording may have it: whoever reads that must not get into the server. ``plan`` is changed."""
    for entry in plan["gateways"]:
        if entry["station"]["token"]:
            entry["station"]["token"] = "***"
    return plan
