"""Roles and what each may reach: one table from address and method to the least role; what is not in it is refused."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """A person's or a token's rights; each role includes the ones before it."""

    member = "member"
    """Does what its grants say, and nothing else: people of other organisations, residents (:mod:`appserver.auth.grants`)."""
    viewer = "viewer"
    """Reads everything that belongs to metering and to the network."""
    dispatcher = "dispatcher"
    """Also enters readings and makes exports."""
    engineer = "engineer"
    """Also changes gateways, devices, the registry, and imports."""
    admin = "admin"
    """Also users, tokens, integrations and the audit record."""

    @property
    def rank(self) -> int:
        return _RANKS[self]

    def includes(self, other: Role) -> bool:
        """Whether this role may do whatever ``other`` may."""
        return self.rank >= other.rank


_RANKS = {role: rank for rank, role in enumerate(Role)}

Access = dict[str, Role | None]
"""HTTP method → least role; None lets everybody in, signed in or not."""

_READ: Access = {"GET": Role.viewer}
_LIST: Access = {"GET": Role.viewer, "POST": Role.engineer}
_ITEM: Access = {"GET": Role.viewer, "PUT": Role.engineer, "DELETE": Role.engineer}
_ADMIN_LIST: Access = {"GET": Role.admin, "POST": Role.admin}
_ADMIN_ITEM: Access = {"GET": Role.admin, "PUT": Role.admin, "DELETE": Role.admin}
_SELF: Access = {"GET": Role.viewer, "POST": Role.viewer}

API_ACCESS: dict[str, Access] = {
    "/openapi.json": {"GET": None},
    "/me": _READ,
    "/status": _READ,
    "/gateways": _LIST,
    "/gateways/unknown": _READ,
    "/gateways/{gateway_eui}": _ITEM,
    "/gateways/{gateway_eui}/statistics": _READ,
    "/gateways/{gateway_eui}/station": {"PUT": Role.engineer},
    "/gateways/{gateway_eui}/credentials": {"POST": Role.engineer, "DELETE": Role.engineer},
    "/device-profiles": _LIST,
    "/device-profiles/{name}": _ITEM,
    "/codecs": _LIST,
    "/codecs/check": {"POST": Role.engineer},
    "/codecs/catalogue": {"POST": Role.engineer},
    "/codecs/catalogue/{id}": {"GET": Role.engineer},
    "/codecs/catalogue/{id}/apply": {"POST": Role.engineer},
    "/undecoded": _READ,
    "/codecs/{name}": _ITEM,
    "/codecs/{name}/test": {"POST": Role.viewer},
    "/codecs/{name}/encode": {"POST": Role.viewer},
    "/redecodings": _LIST,
    "/redecodings/{id}": _READ,
    "/devices": _LIST,
    "/devices/{dev_eui}": _ITEM,
    "/devices/{dev_eui}/session": _ITEM,
    "/devices/{dev_eui}/queue": {"GET": Role.viewer, "POST": Role.engineer, "DELETE": Role.engineer},
    "/devices/{dev_eui}/nonces": {"DELETE": Role.engineer},
    "/devices/{dev_eui}/clock": {"GET": Role.viewer, "POST": Role.engineer},
    "/devices/{dev_eui}/session/rejoin": {"POST": Role.engineer},
    "/devices/nonces": {"DELETE": Role.engineer},
    "/multicast-groups": _LIST,
    "/multicast-groups/{id}": _ITEM,
    "/multicast-groups/{id}/members": _LIST,
    "/multicast-groups/{id}/members/{dev_eui}": {"DELETE": Role.engineer},
    "/multicast-groups/{id}/queue": {"GET": Role.viewer, "POST": Role.engineer, "DELETE": Role.engineer},
    "/frames": _READ,
    "/frames/{id}": _READ,
    "/frames/stream": _READ,
    "/events": _READ,
    "/events/stream": _READ,
    "/organisations": _LIST,
    "/organisations/{id}": _ITEM,
    "/buildings": _LIST,
    "/buildings/{id}": _ITEM,
    "/buildings/{id}/balance": _READ,
    "/buildings/{id}/common-needs": _READ,
    "/buildings/{id}/weather-control": _READ,
    "/premises/{id}/summary": _READ,
    "/buildings/{id}/gar": {"PUT": Role.engineer},
    "/gar": _READ,
    "/gar/search": _READ,
    "/gar/objects": _READ,
    "/gar/objects/{guid}": _READ,
    "/gar/bindings": _LIST,
    "/gar/imports": _LIST,
    "/gar/imports/{id}": _READ,
    "/networks/{resource}/balance": _READ,
    "/networks/{resource}/nodes": {"POST": Role.engineer},
    "/networks/{resource}/nodes/{id}": {"DELETE": Role.engineer},
    "/networks/{resource}/edges": {"POST": Role.engineer},
    "/networks/{resource}/edges/{id}": {"DELETE": Role.engineer},
    "/premises": _LIST,
    "/premises/{id}": _ITEM,
    "/points": _LIST,
    "/points/{id}": _ITEM,
    "/points/{id}/replacement": {"POST": Role.engineer},
    "/points/{id}/tariffs": _READ,
    "/meters": _LIST,
    "/meters/{id}": _ITEM,
    "/installations": _LIST,
    "/installations/{id}": _ITEM,
    "/installations/{id}/acts": {"PUT": Role.engineer},
    "/channels": _LIST,
    "/channels/{id}": {"PUT": Role.engineer, "DELETE": Role.engineer},
    "/verifications": _LIST,
    "/verifications/{id}": {"GET": Role.viewer, "DELETE": Role.engineer},
    "/verification-records": _LIST,
    "/verification-records/{id}": _ITEM,
    "/entrances": _LIST,
    "/entrances/{id}": _ITEM,
    "/accounts": _LIST,
    "/accounts/{id}": _ITEM,
    "/meter-seals": _LIST,
    "/meter-seals/{id}": _ITEM,
    "/registry-journal": {"GET": Role.viewer, "POST": Role.dispatcher},
    "/registry-journal/believed": _READ,
    "/readings": {"GET": Role.viewer, "POST": Role.dispatcher},
    "/readings/last": _READ,
    "/readings/batch": {"POST": Role.dispatcher},
    "/readings/table": {"POST": Role.dispatcher},
    "/readings/refused": _READ,
    "/readings/refused/retry": {"POST": Role.dispatcher},
    "/readings/refused/drop": {"POST": Role.dispatcher},
    "/deliveries": _READ,
    "/sources": _ADMIN_LIST,
    "/sources/{id}": _ADMIN_ITEM,
    "/sources/{id}/push": {"POST": Role.dispatcher},
    "/sources/{id}/test": {"POST": Role.admin},
    "/readings/conflicts": _READ,
    "/corrections": {"GET": Role.viewer, "POST": Role.engineer},
    "/closed-periods": {"GET": Role.viewer, "POST": Role.engineer},
    "/closed-periods/preview": _READ,
    "/closed-periods/{id}": _READ,
    "/closed-periods/{id}/reopen": {"POST": Role.engineer},
    "/closed-periods/{id}/after": _READ,
    "/rules": _LIST,
    "/rules/entered": _READ,
    "/rules/{id}/withdrawal": {"POST": Role.engineer},
    "/billing/registry": {"GET": Role.dispatcher},
    "/billing/gis": {"POST": Role.dispatcher},
    "/seals": _READ,
    "/collection": _READ,
    "/volumes": _READ,
    "/volumes/file": _READ,
    "/silent-modules": _READ,
    "/silent-modules/file": _READ,
    "/statements/{name}": _READ,
    "/incidents": _READ,
    "/incidents/counts": _READ,
    "/incidents/{id}": _READ,
    "/incidents/{id}/acknowledgement": {"POST": Role.dispatcher},
    "/incidents/{id}/comments": {"POST": Role.dispatcher},
    "/subscriptions": _ADMIN_LIST,
    "/subscriptions/{id}": {"DELETE": Role.admin},
    "/imports": {"GET": Role.engineer, "POST": Role.engineer},
    "/imports/{id}": {"GET": Role.engineer},
    "/imports/{id}/apply": {"POST": Role.engineer},
    "/registry-book/imports": {"GET": Role.engineer, "POST": Role.engineer},
    "/registry-book/imports/{id}": {"GET": Role.engineer},
    "/registry-book/imports/{id}/apply": {"POST": Role.engineer},
    "/registry-book/exports": {"POST": Role.engineer},
    "/registry-book/exports/{id}": {"GET": Role.engineer},
    "/registry-book/exports/{id}/file": {"GET": Role.engineer},
    "/exports": {"GET": Role.dispatcher, "POST": Role.dispatcher},
    "/exports/{id}": {"GET": Role.dispatcher},
    "/exports/{id}/file": {"GET": Role.dispatcher},
    "/integrations": _ADMIN_LIST,
    "/integrations/{id}": _ADMIN_ITEM,
    "/integrations/{id}/deliveries": _ADMIN_LIST,
    "/integrations/{id}/replay": {"POST": Role.admin},
    "/users": _ADMIN_LIST,
    "/users/{id}": _ADMIN_ITEM,
    "/grants": {"GET": Role.admin},
    "/grants/{id}": {"PUT": Role.admin, "DELETE": Role.admin},
    "/users/{id}/grants": {"POST": Role.admin},
    "/tokens": _ADMIN_LIST,
    "/tokens/{id}": {"DELETE": Role.admin},
    "/audit": {"GET": Role.admin},
}
"""Addresses below ``/api/v1``."""

PAGE_ACCESS: dict[str, Access] = {
    "/healthz": {"GET": None},
    "/readyz": {"GET": None},
    "/metrics": {"GET": None},
    "/static/{file}": {"GET": None},
    "/api/docs": {"GET": None},
    "/language": {"POST": None},
    "/sign-in": {"GET": None, "POST": None},
    "/sign-out": {"POST": Role.viewer},
    "/": _READ,
    "/profile": _SELF,
    "/profile/password": {"POST": Role.viewer},
    "/profile/sign-out-everywhere": {"POST": Role.viewer},
    "/gateways": _READ,
    "/gateways/new": {"GET": Role.engineer, "POST": Role.engineer},
    "/gateways/{gateway_eui}": {"GET": Role.viewer, "POST": Role.engineer},
    "/gateways/{gateway_eui}/adopt": {"POST": Role.engineer},
    "/gateways/{gateway_eui}/delete": {"POST": Role.engineer},
    "/gateways/{gateway_eui}/credentials": {"POST": Role.engineer},
    "/gateways/{gateway_eui}/credentials/revoke": {"POST": Role.engineer},
    "/gateways/{gateway_eui}/station": {"POST": Role.engineer},
    "/devices": _READ,
    "/devices/new": {"GET": Role.engineer, "POST": Role.engineer},
    "/devices/{dev_eui}": _READ,
    "/devices/{dev_eui}/queue": {"POST": Role.engineer},
    "/devices/{dev_eui}/delete": {"POST": Role.engineer},
    "/multicast": _READ,
    "/multicast/new": {"GET": Role.engineer, "POST": Role.engineer},
    "/multicast/{id}": _READ,
    "/multicast/{id}/members": {"POST": Role.engineer},
    "/multicast/{id}/queue": {"POST": Role.engineer},
    "/multicast/{id}/delete": {"POST": Role.engineer},
    "/volumes": _READ,
    "/volumes/download": _READ,
    "/silent": _READ,
    "/silent/download": _READ,
    "/meters": _READ,
    "/meters/{id}": _READ,
    "/meters/{id}/readings": {"POST": Role.dispatcher},
    "/meters/{id}/passport": {"GET": Role.viewer, "POST": Role.dispatcher},
    "/houses/{id}/registry": {"GET": Role.viewer, "POST": Role.dispatcher},
    "/houses/{id}/gar": {"POST": Role.engineer},
    "/gar": {"GET": Role.viewer, "POST": Role.engineer},
    "/meters/{id}/corrections": {"GET": Role.viewer, "POST": Role.engineer},
    "/conflicts": {"GET": Role.viewer, "POST": Role.engineer},
    "/periods": {"GET": Role.viewer, "POST": Role.engineer},
    "/periods/{id}": _READ,
    "/periods/{id}/reopen": {"POST": Role.engineer},
    "/rules": {"GET": Role.viewer, "POST": Role.engineer},
    "/rules/{id}/withdraw": {"POST": Role.engineer},
    "/codecs": _READ,
    "/codecs/new": {"GET": Role.engineer, "POST": Role.engineer},
    "/codecs/check": {"POST": Role.engineer},
    "/codecs/{name}": {"GET": Role.viewer, "POST": Role.engineer},
    "/codecs/{name}/test": {"POST": Role.viewer},
    "/codecs/{name}/delete": {"POST": Role.engineer},
    "/catalogue": {"GET": Role.engineer, "POST": Role.engineer},
    "/catalogue/{id}": {"GET": Role.engineer},
    "/catalogue/{id}/apply": {"POST": Role.engineer},
    "/undecoded": {"GET": Role.viewer, "POST": Role.engineer},
    "/undecoded/{id}": _READ,
    "/undecoded/{id}/apply": {"POST": Role.engineer},
    "/profiles": _READ,
    "/profiles/new": {"GET": Role.engineer, "POST": Role.engineer},
    "/profiles/{name}": {"GET": Role.viewer, "POST": Role.engineer},
    "/profiles/{name}/delete": {"POST": Role.engineer},
    "/admin/subscriptions": {"GET": Role.admin, "POST": Role.admin},
    "/admin/subscriptions/{id}/delete": {"POST": Role.admin},
    "/networks": _READ,
    "/houses": _READ,
    "/houses/{id}": _READ,
    "/houses/{id}/download": _READ,
    "/incidents": _READ,
    "/incidents/{id}/acknowledge": {"POST": Role.dispatcher},
    "/incidents/{id}/comment": {"POST": Role.dispatcher},
    "/live": _READ,
    "/live/stream": _READ,
    "/live/{id}": _READ,
    "/registry-book": {"GET": Role.engineer, "POST": Role.engineer},
    "/registry-book/export": {"POST": Role.engineer},
    "/registry-book/export/{id}": {"GET": Role.engineer},
    "/registry-book/export/{id}/file": {"GET": Role.engineer},
    "/registry-book/{id}": {"GET": Role.engineer},
    "/registry-book/{id}/apply": {"POST": Role.engineer},
    "/import": {"GET": Role.engineer, "POST": Role.engineer},
    "/import/{id}": {"GET": Role.engineer},
    "/import/{id}/apply": {"POST": Role.engineer},
    "/admin/users": {"GET": Role.admin, "POST": Role.admin},
    "/admin/users/{id}": {"GET": Role.admin, "POST": Role.admin},
    "/admin/users/{id}/grants": {"GET": Role.admin, "POST": Role.admin},
    "/admin/tokens": {"GET": Role.admin, "POST": Role.admin},
    "/admin/tokens/{id}/revoke": {"POST": Role.admin},
    "/sources": _READ,
    "/sources/refused": {"POST": Role.dispatcher},
    "/admin/sources/new": {"GET": Role.admin, "POST": Role.admin},
    "/admin/sources/{id}": {"GET": Role.admin, "POST": Role.admin},
    "/admin/sources/{id}/delete": {"POST": Role.admin},
    "/admin/integrations": {"GET": Role.admin},
    "/admin/integrations/new": {"GET": Role.admin, "POST": Role.admin},
    "/admin/integrations/{id}": {"GET": Role.admin, "POST": Role.admin},
    "/admin/integrations/{id}/delete": {"POST": Role.admin},
    "/admin/integrations/{id}/retry": {"POST": Role.admin},
    "/admin/integrations/{id}/replay": {"POST": Role.admin},
    "/devices/{dev_eui}/clock": {"POST": Role.engineer},
    "/admin/audit": {"GET": Role.admin},
}

_MISSING: Access = {}
PASSWORD_CHANGE = frozenset({"/profile/password", "/sign-out", "/language", "/static/{file}", "/healthz", "/readyz"})
"""All that a person may reach until the one-time password is changed."""


def least_role(pattern: str, method: str) -> tuple[bool, Role | None]:
    """Whether the address and method are in the table, and the least role for them (None: everybody)."""
    if pattern.startswith("/api/v1/"):
        access = API_ACCESS.get(pattern.removeprefix("/api/v1"), _MISSING)
    else:
        access = PAGE_ACCESS.get(pattern, _MISSING)
    method = "GET" if method == "HEAD" else method
    return (method in access, access.get(method))
