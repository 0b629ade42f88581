"""Networks from the source to the house with their losses, and the common needs of a house."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from appserver.api.fields import Day, Id, Input, Month, Name, Output, RequiredName, Volume
from appserver.api.problems import Problem
from appserver.api.registry import IdPath, Resource
from appserver.api.router import Api, Call
from appserver.metering import common_needs, networks
from appserver.rules.entered import rule_book

api = Api("Metering")


class NetworkPath(Input):
    resource: Resource


class NetworkItemPath(Input):
    resource: Resource
    id: Id


class Made(Output):
    """The id of what was made."""

    id: int


class NewNode(Input):
    """A node of a network; ``loss_norm_pct`` are technical losses that are accepted."""

    kind: Literal["source", "trunk", "section", "house"]
    name: RequiredName
    building_id: Id | None = None
    loss_norm_pct: Volume | None = None


class NewEdge(Input):
    """A pipe or line between two nodes, with the metering point on it."""

    from_id: Id
    to_id: Id
    point_id: Id
    owner: Name = ""
    """Whose it is: the border of balance ownership lies where the owner changes."""


class NetworkQuery(Input):
    """From a day (included) to a day (excluded)."""

    since: Annotated[Day, Field(alias="from")]
    until: Annotated[Day, Field(alias="to", description="Excluded")]


class NodeLoss(Output):
    """What one node lost: ``jump`` marks the first on its way where losses jump over the norm."""

    id: int
    kind: str
    name: str
    building_id: int | None
    depth: int
    came_in: Volume | None
    went_out: Volume | None
    loss: Volume | None
    loss_pct: Volume | None
    norm_pct: Volume
    over_norm: Volume | None
    jump: bool
    boundary: bool


class NetworkEdge(Output):
    """An edge with what passed over it; null when its meter is not known at both ends of the time."""

    id: int
    from_id: int
    to_id: int
    point_id: int
    owner: str
    volume: Volume | None


class NetworkBalance(Output):
    """A network in a time, nodes from the source down."""

    resource: str
    nodes: list[NodeLoss]
    edges: list[NetworkEdge]


@api.add("GET", "/networks/{resource}/balance", answers=NetworkBalance, summary="Losses of a network, node by node")
async def get_network(call: Call, path: NetworkPath, query: NetworkQuery) -> NetworkBalance:
    if not query.since < query.until:
        raise Problem(422, "The time is empty: `to` is excluded and must be after `from`.")
    db = call.services.database
    nodes, edges = await db.run(networks.read, db, path.resource, query.since, query.until)
    rows = [
        NodeLoss.model_construct(
            id=row.node.id,
            kind=row.node.kind,
            name=row.node.name,
            building_id=row.node.building_id,
            norm_pct=row.node.norm_pct,
            **{
                name: getattr(row, name)
                for name in ("depth", "came_in", "went_out", "loss", "loss_pct", "over_norm", "jump", "boundary")
            },
        )
        for row in networks.losses(nodes, edges)
    ]
    lines = [
        NetworkEdge.model_construct(**{name: getattr(edge, name) for name in NetworkEdge.model_fields})
        for edge in edges
    ]
    return NetworkBalance.model_construct(resource=path.resource, nodes=rows, edges=lines)


@api.add("POST", "/networks/{resource}/nodes", answers=Made, status=201, summary="Add a node to a network")
async def post_node(call: Call, path: NetworkPath, body: NewNode) -> Made:
    db = call.services.database
    id_ = await db.run(networks.add_node, db, path.resource, body.kind, body.name, body.building_id, body.loss_norm_pct)
    await call.audit("network_node.create", f"network_node/{id_}", {"name": body.name})
    return Made(id=id_)


@api.add("DELETE", "/networks/{resource}/nodes/{id}", answers=None, status=204, summary="Delete a node without edges")
async def delete_node(call: Call, path: NetworkItemPath) -> None:
    db = call.services.database
    await db.run(networks.remove, db, "network_node", path.id)
    await call.audit("network_node.delete", f"network_node/{path.id}")


@api.add("POST", "/networks/{resource}/edges", answers=Made, status=201, summary="Add an edge to a network")
async def post_edge(call: Call, path: NetworkPath, body: NewEdge) -> Made:
    db = call.services.database
    id_ = await db.run(networks.add_edge, db, body.from_id, body.to_id, body.point_id, body.owner)
    await call.audit("network_edge.create", f"network_edge/{id_}", {"point_id": body.point_id})
    return Made(id=id_)


@api.add("DELETE", "/networks/{resource}/edges/{id}", answers=None, status=204, summary="Delete an edge")
async def delete_edge(call: Call, path: NetworkItemPath) -> None:
    db = call.services.database
    await db.run(networks.remove, db, "network_edge", path.id)
    await call.audit("network_edge.delete", f"network_edge/{path.id}")


# -------------------------------------------------------------------------------------------------------- common needs


class CommonNeedsQuery(Input):
    """The month that ``month`` lies in; ``norm`` is units a square metre of common rooms and month, else the rule's."""

    resource: Resource = "cold_water"
    month: Month
    norm: Volume | None = None
    whole: bool = False
    """The owners decided to distribute all of it, above the norm too."""


class CommonPart(Output):
    """What falls to one premises."""

    premises_id: int
    premises: str
    volume: Volume


class CommonNeeds(Output):
    """Common needs of a house: measured, by norm, and what is distributed; negative diminishes (п. 46, 47)."""

    measured: Volume
    by_norm: Volume | None
    charged: Volume
    capped: bool
    parts: list[CommonPart]
    rules: list[str]
    """Versions of the rules that were used."""


@api.add("GET", "/buildings/{id}/common-needs", answers=CommonNeeds, summary="Common needs of a building in a month")
async def get_common_needs(call: Call, path: IdPath, query: CommonNeedsQuery) -> CommonNeeds:
    db = call.services.database
    value = await db.run(
        common_needs.by_rules,
        db,
        await db.run(rule_book, db),
        path.id,
        query.resource,
        query.month,
        query.norm,
        query.whole,
    )
    parts = [
        CommonPart.model_construct(premises_id=part.premises_id, premises=part.premises, volume=part.volume)
        for part in value.parts
    ]
    return CommonNeeds.model_construct(
        measured=value.measured,
        by_norm=value.by_norm,
        charged=value.charged,
        capped=value.capped,
        parts=parts,
        rules=list(value.rules),
    )
