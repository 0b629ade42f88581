"""All resources in one table."""

from __future__ import annotations

from appserver.api import (
    billing,
    clocks,
    codec_trials,
    codecs,
    devices,
    events,
    frames,
    gar,
    gateway_statistics,
    gateways,
    grants,
    history,
    hours,
    incidents,
    installations,
    integrations,
    jobs,
    lifecycle,
    multicast,
    networks,
    people_views,
    periods,
    profiles,
    readings,
    registry,
    registry_book,
    rules,
    sessions,
    silence,
    sources,
    statements,
    stations,
    status,
    tariffs,
    users,
    verifications,
    volumes,
)
from appserver.api.router import Api

MODULES = (
    status,
    gateways,
    gateway_statistics,
    stations,
    profiles,
    devices,
    clocks,
    sessions,
    multicast,
    frames,
    events,
    codec_trials,
    codecs,
    registry,
    installations,
    verifications,
    lifecycle,
    gar,
    readings,
    silence,
    volumes,
    hours,
    tariffs,
    history,
    periods,
    people_views,
    sources,
    networks,
    rules,
    statements,
    billing,
    incidents,
    integrations,
    jobs,
    registry_book,
    users,
    grants,
)


def whole_api() -> Api:
    """Every operation of the API."""
    api = Api()
    for module in MODULES:
        api.include(module.api)
    return api
