"""Something on every page of the console."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from appserver.metering.incoming import Item, take
from appserver.metering.periods import close_period
from appserver.rules.entered import enter_rule
from internalapi import messages as m
from tests.support.console import Console
from tests.support.house import FIRST_DAY, make_house

GATEWAY, DEVICE = "0016c001f153a14c", "4b41524154000001"
POLYGLOTS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'-alert(1)-'",
    "</title><svg/onload=alert(1)>",
    "{{7*7}} %(name)s %s 100%",
]


async def fill(console: Console, name: str = "Крыша") -> dict[str, str]:
    """A gateway, a device with everything, a house; returns the address of each kind of page."""
    await console.network.gateway_put(gateway_eui=GATEWAY, name=name, tags={name: name})
    console.network.unknown["f" * 16] = m.UnknownGateway("f" * 16, "10.0.0.1:1", 1, 2, 3)
    write = m.DeviceWrite(dev_eui=DEVICE, name=name, profile="karat-926lw", app_key="0" * 31 + "1", tags={"a": name})
    await console.network.devices_put(items=[write])
    await console.network.session_put(dev_eui=DEVICE, dev_addr="00189440", app_s_key="0" * 32, nwk_s_key="0" * 32)
    await console.network.queue_put(dev_eui=DEVICE, f_port=5, data=b"\x01\x02")
    heard = (m.Reception(GATEWAY, 1_793_000_000_000_000, -101.0, 7.5),)
    for number, type_ in enumerate(("join_request", "join_accept", "up", "down"), 1):
        console.network.add_frame(
            m.FrameRecord(
                id=number,
                type=type_,
                time_us=1_793_000_000_000_000,
                phy=b"@",
                dev_eui=DEVICE,
                device_name=name,
                receptions=heard,
                mac_commands=(name,),
                outcome=f"failed: {name}",
            )
        )
    house = make_house(console.services.database, address=name)
    make_house(console.services.database, address=name + " 2", resource="heat")
    period = close_period(
        console.services.database,
        house.building_id,
        "cold_water",
        date(2026, 10, 1),
        date(2026, 10, 6),
        author=name[:100],
        now_us=console.clock(),
    )
    take(
        console.services.database,
        [Item(FIRST_DAY + timedelta(days=5), Decimal("100.8"), meter_id=house.meters["1"])],
        "gprs",
        console.clock() + 1,
    )
    with console.services.database.transaction() as connection:
        connection.execute(
            "INSERT INTO uplink (event_id, frame_id, dev_eui, session_id, f_cnt, f_port, data, received_at_us, codec, state,"
            " reason) VALUES (1, 1, ?, 1, 1, 1, x'03670110', 1793000000000000, 'cayenne-lpp', 'undecoded', ?)",
            (DEVICE, name),
        )
    term = {"valid_from": date(2026, 1, 1), "source": name, "author": name[:100], "now_us": console.clock()}
    enter_rule(console.services.database, "verification", {"expired_accepted": True}, address=name[:100], **term)
    return {
        "start": "/",
        "conflicts": "/conflicts",
        "corrections": f"/meters/{house.meters['1']}/corrections",
        "periods": f"/periods?building_id={house.building_id}&resource=cold_water&month=2026-10",
        "period": f"/periods/{period.id}",
        "rules": "/rules",
        "codecs": "/codecs",
        "codec": "/codecs/karat",
        "new codec": "/codecs/new?script=1",
        "catalogue": "/catalogue",
        "undecoded": "/undecoded",
        "profiles": "/profiles",
        "new profile": "/profiles/new",
        "subscriptions": "/admin/subscriptions",
        "houses": "/houses",
        "house": f"/houses/{house.building_id}?period=2026-10",
        "house by hour": f"/houses/{house.building_id}?step=hour&period=2026-10-02",
        "house by month": f"/houses/{house.building_id}?step=month&period=2026",
        "meters": "/meters",
        "meter": f"/meters/{house.meters['1']}",
        "devices": "/devices",
        "device": f"/devices/{DEVICE}",
        "new device": "/devices/new",
        "gateways": "/gateways",
        "gateway": f"/gateways/{GATEWAY}",
        "new gateway": "/gateways/new?eui=ffffffffffffffff",
        "frames": "/live",
        "import": "/import",
        "sources": "/sources",
        "new source": "/admin/sources/new",
        "new form": "/admin/sources/new?kind=http",
        "integrations": "/admin/integrations",
        "new integration": "/admin/integrations/new?kind=mqtt",
        "users": "/admin/users",
        "user": "/admin/users/1",
        "tokens": "/admin/tokens",
        "audit": "/admin/audit",
        "profile": "/profile",
        "api": "/api/docs",
    }
