"""Device profiles."""

from __future__ import annotations

import msgspec

from internalapi import messages as m
from lns.api import adr, profile_radio
from lns.api.errors import Refused, invalid, not_found
from lns.device import Profile
from lns.downlink.queue import MAX_ATTEMPTS
from lns.network import Network
from lns.store.embedded.load import profile_body

MAC_VERSIONS = ("1.0.0", "1.0.1", "1.0.2", "1.0.3", "1.0.4", "1.1.0")


async def profiles(network: Network, request: m.Empty) -> m.ProfilePage:
    return m.ProfilePage(
        [
            msgspec.convert(msgspec.to_builtins(profile), m.ProfileRecord)
            for profile in sorted(network.state.profiles.values(), key=lambda one: one.name)
        ]
    )


async def profile_put(network: Network, request: m.ProfileWrite) -> m.PutResult:
    if not request.name or not all(c.isalnum() or c in "-_." for c in request.name):
        raise invalid("name: letters, digits, dots and dashes", "name")
    if request.mac_version not in MAC_VERSIONS:
        raise invalid(f"mac_version: one of {', '.join(MAC_VERSIONS)}", "mac_version")
    if request.region != network.state.plan.name:
        raise invalid(f"region: this server runs {network.state.plan.name}", "region")
    if request.device_class not in ("A", "B", "C"):
        raise invalid("device_class: A, B or C", "device_class")
    if not 1 <= request.confirmed_attempts <= MAX_ATTEMPTS:
        raise invalid(f"confirmed_attempts: 1 to {MAX_ATTEMPTS}", "confirmed_attempts")
    adr.check(request, network.state.plan)
    if not 1 <= request.rx1_delay_s <= 15:
        raise invalid("rx1_delay_s: 1 to 15 seconds", "rx1_delay_s")
    if not 0 <= request.adr_margin_db <= 50:
        raise invalid("adr_margin_db: 0 to 50 dB", "adr_margin_db")
    if request.expected_interval_s <= 0:
        raise invalid("expected_interval_s: more than zero seconds", "expected_interval_s")
    if request.dev_status_interval_s < 0:
        raise invalid("dev_status_interval_s: zero (never) or more seconds", "dev_status_interval_s")
    if request.ping_slot_periodicity is not None and not 0 <= request.ping_slot_periodicity <= 7:
        raise invalid("ping_slot_periodicity: 0 to 7, a ping slot every 2**n seconds", "ping_slot_periodicity")
    profile_radio.check(network.state.plan, request)
    if request.class_b_timeout_s is not None and not 1 <= request.class_b_timeout_s <= 3600:
        raise invalid("class_b_timeout_s: 1 to 3600 seconds", "class_b_timeout_s")
    before = network.state.profiles.get(request.name)
    if before is not None and before.built_in:
        raise Refused("conflict", f"profile {request.name} is built in: make one of another name")
    profile = msgspec.convert(msgspec.to_builtins(request), Profile)
    if before is not None:
        # Devices hold the profile itself: change it in place.
        unchanged = before == profile
        for name in Profile.__dataclass_fields__:
            setattr(before, name, getattr(profile, name))
        network.state.desired_radio.pop(profile.name, None)
    else:
        unchanged = False
        network.state.profiles[request.name] = profile
    network.state.batch.operations.append(("profile_put", (profile.name, profile_body(profile))))
    await network.durable()
    return m.PutResult(int(before is None), int(before is not None and not unchanged), int(unchanged))


async def profile_delete(network: Network, request: m.Key) -> m.Ok:
    profile = network.state.profiles.get(request.key)
    if profile is None:
        raise not_found("profile", request.key)
    users = await network.read(
        lambda db: db.execute("SELECT count(*) FROM device WHERE profile = ?", (request.key,)).fetchone()[0]
    )
    users = max(users, sum(device.profile is profile for device in network.state.devices.loaded()))
    if profile.built_in or users:
        why = "is built in" if profile.built_in else f"is used by {users} devices"
        raise Refused("conflict", f"profile {request.key} {why}")
    del network.state.profiles[request.key]
    network.state.batch.operations.append(("profile_delete", (request.key,)))
    await network.durable()
    return m.Ok()
