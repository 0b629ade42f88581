"""Networks from the source to the house: what each node lost in a month."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from aiohttp import web
from pydantic import StringConstraints

from appserver.api.fields import Input
from appserver.api.registry import Resource
from appserver.db import Database
from appserver.metering import networks
from appserver.metering.timebase import date_of
from appserver.models.registry import RESOURCES
from appserver.services import SERVICES
from appserver.web.forms import seen_query
from appserver.web.pages_houses import read_period
from appserver.web.render import page


class _Query(Input):
    resource: Resource | None = None
    period: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d$")] = ""


async def losses(request: web.Request) -> web.Response:
    """The nodes of a network from the source down, with the losses of a month."""
    services = request.app[SERVICES]
    db: Database = services.database
    query = seen_query(request, _Query)
    found = {name for (name,) in await db.run(db.rows, "SELECT DISTINCT resource FROM network_node")}
    resources = [name for name in RESOURCES if name in found]
    resource = query.resource if query.resource in found else (resources[0] if resources else None)
    today = date_of(services.clock() // 86_400_000_000)
    period = read_period("day", query.period, today.replace(day=1) - timedelta(days=1))
    rows: list[networks.NodeLoss] = []
    if resource is not None:
        nodes, edges = await db.run(networks.read, db, resource, period.first, period.last)
        rows = networks.losses(nodes, edges)
    return page(request, "losses.html", resources=resources, resource=resource, period=period, rows=rows)
