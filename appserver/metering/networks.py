"""FR-13: networks from the source to the house, with a meter on every edge: losses by node, and where they jump.

A node loses what comes in over its edges and does not go out again. A house without outgoing edges ends the network: what
comes into it is what it took, and its own balance says the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.metering.consumption import ZERO
from appserver.metering.timebase import day_number
from appserver.models.columns import from_micro
from appserver.models.registry import REGISTERS

KINDS = ("source", "trunk", "section", "house")
JUMP_PCT = Decimal(5)
"""Losses so far over the norm (per cent of what comes in) are a jump."""
_PERCENT = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class Node:
    """A source, a trunk, a section or a house."""

    id: int
    kind: str
    name: str
    building_id: int | None = None
    norm_pct: Decimal = ZERO
    """Technical losses that are accepted."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A pipe or line with its meter's volume; None when it is not known."""

    id: int
    from_id: int
    to_id: int
    point_id: int
    owner: str
    volume: Decimal | None


@dataclass(frozen=True, slots=True)
class NodeLoss:
    """What one node lost in the period."""

    node: Node
    depth: int
    """Edges from the source."""
    came_in: Decimal | None
    went_out: Decimal | None
    loss: Decimal | None
    """None for sources and ends, and where a meter is not known."""
    loss_pct: Decimal | None
    over_norm: Decimal | None
    """Loss beyond the norm, in units of the resource."""
    jump: bool
    """The first on its way from the source where losses jump over the norm."""
    boundary: bool
    """The owner changes here: the border of balance ownership."""


def losses(nodes: Sequence[Node], edges: Sequence[Edge]) -> list[NodeLoss]:
    """Losses of all nodes from the source down. Raises ValueError for a network with a circle."""
    ins: dict[int, list[Edge]] = {node.id: [] for node in nodes}
    outs: dict[int, list[Edge]] = {node.id: [] for node in nodes}
    for edge in edges:
        outs[edge.from_id].append(edge)
        ins[edge.to_id].append(edge)
    depth = _depths(nodes, ins, outs)
    after_jump: set[int] = set()
    found = []
    for node in sorted(nodes, key=lambda n: (depth[n.id], KINDS.index(n.kind), n.name)):
        came_in, went_out = _sum(ins[node.id]), _sum(outs[node.id])
        loss = came_in - went_out if came_in is not None and went_out is not None else None
        percent = (loss * 100 / came_in).quantize(_PERCENT, ROUND_HALF_EVEN) if loss is not None and came_in else None
        over = loss - came_in * node.norm_pct / 100 if loss is not None and came_in is not None else None
        jumps = percent is not None and percent - node.norm_pct > JUMP_PCT
        behind = any(edge.from_id in after_jump for edge in ins[node.id])
        if jumps or behind:
            after_jump.add(node.id)
        owners = {edge.owner for edge in (*ins[node.id], *outs[node.id]) if edge.owner}
        found.append(
            NodeLoss(
                node, depth[node.id], came_in, went_out, loss, percent, over, jumps and not behind, len(owners) > 1
            )
        )
    return found


def _sum(edges: Sequence[Edge]) -> Decimal | None:
    """The volumes together; None without edges, or when one of them is not known."""
    if not edges or any(edge.volume is None for edge in edges):
        return None
    return sum((edge.volume for edge in edges if edge.volume is not None), ZERO)


def _depths(
    nodes: Sequence[Node], ins: Mapping[int, Sequence[Edge]], outs: Mapping[int, Sequence[Edge]]
) -> dict[int, int]:
    waiting = {node.id: len(ins[node.id]) for node in nodes}
    depth = {id_: 0 for id_, count in waiting.items() if not count}
    ready = list(depth)
    while ready:
        id_ = ready.pop()
        for edge in outs[id_]:
            depth[edge.to_id] = max(depth.get(edge.to_id, 0), depth[id_] + 1)
            waiting[edge.to_id] -= 1
            if not waiting[edge.to_id]:
                ready.append(edge.to_id)
    if any(waiting.values()):
        names = ", ".join(node.name for node in nodes if waiting[node.id])
        raise ValueError(f"the network runs in a circle through {names}")
    return depth


# ------------------------------------------------------------------------------------------------------------ storage


def add_node(
    db: Database, resource: str, kind: str, name: str, building_id: int | None = None, norm_pct: Decimal | None = None
) -> int:
    """A new node; returns its id. Raises RegistryError ``invalid`` or, for a name that is taken, ``conflict``."""
    if resource not in REGISTERS:
        raise RegistryError("invalid", "resource", f"There is no resource {resource!r}.")
    if kind not in KINDS:
        raise RegistryError("invalid", "kind", f"There is no kind {kind!r}; use one of {', '.join(KINDS)}.")
    if not name.strip():
        raise RegistryError("invalid", "name", "A node needs a name.")
    if norm_pct is not None and not 0 <= norm_pct < 100:
        raise RegistryError("invalid", "loss_norm_pct", "The norm is a share from 0 to 100 per cent.")
    with db.transaction() as connection:
        if connection.execute(
            "SELECT 1 FROM network_node WHERE resource = ? AND name = ?", (resource, name.strip())
        ).fetchone():
            raise RegistryError("conflict", "name", f"There is a node {name.strip()!r} already.")
        if (
            building_id is not None
            and not connection.execute("SELECT 1 FROM building WHERE id = ?", (building_id,)).fetchone()
        ):
            raise RegistryError("not_found", "building_id", f"There is no building {building_id}.")
        micro = None if norm_pct is None else int(norm_pct * 1_000_000)
        row = connection.execute(
            "INSERT INTO network_node (resource, kind, name, building_id, loss_norm_pct) VALUES (?, ?, ?, ?, ?)"
            " RETURNING id",
            (resource, kind, name.strip(), building_id, micro),
        ).fetchone()
        return int(row[0])


def add_edge(db: Database, from_id: int, to_id: int, point_id: int, owner: str = "") -> int:
    """A new edge with its metering point; returns its id. Raises RegistryError for what does not fit together."""
    with db.transaction() as connection:
        resources = dict(
            connection.execute("SELECT id, resource FROM network_node WHERE id IN (?, ?)", (from_id, to_id)).fetchall()
        )
        point = connection.execute("SELECT resource FROM point WHERE id = ?", (point_id,)).fetchone()
        if from_id == to_id or len(resources) < 2:
            raise RegistryError("invalid", "to_id", "An edge joins two different nodes that exist.")
        if point is None:
            raise RegistryError("not_found", "point_id", f"There is no metering point {point_id}.")
        if {*resources.values()} != {point[0]}:
            raise RegistryError("invalid", "point_id", "Both nodes and the metering point must be of one resource.")
        if connection.execute("SELECT 1 FROM network_edge WHERE point_id = ?", (point_id,)).fetchone():
            raise RegistryError("conflict", "point_id", "This metering point is on an edge already.")
        edges = connection.execute("SELECT from_id, to_id FROM network_edge").fetchall()
        if _reaches(edges, to_id, from_id):
            raise RegistryError("invalid", "to_id", "The edge would close a circle.")
        row = connection.execute(
            "INSERT INTO network_edge (from_id, to_id, point_id, owner) VALUES (?, ?, ?, ?) RETURNING id",
            (from_id, to_id, point_id, owner.strip()),
        ).fetchone()
        return int(row[0])


def _reaches(edges: Sequence[tuple[int, int]], start: int, goal: int) -> bool:
    seen, ready = {start}, [start]
    while ready:
        here = ready.pop()
        for from_id, to_id in edges:
            if from_id == here and to_id not in seen:
                seen.add(to_id)
                ready.append(to_id)
    return goal in seen


def remove(db: Database, table: str, id_: int) -> None:
    """Delete a node without edges, or an edge. Raises RegistryError ``not_found`` or ``conflict``."""
    assert table in ("network_node", "network_edge")
    with db.transaction() as connection:
        if (
            table == "network_node"
            and connection.execute("SELECT 1 FROM network_edge WHERE ? IN (from_id, to_id)", (id_,)).fetchone()
        ):
            raise RegistryError("conflict", "id", "The node has edges; delete them first.")
        if not connection.execute(f"DELETE FROM {table} WHERE id = ?", (id_,)).rowcount:
            raise RegistryError("not_found", "id", f"There is no {table.replace('_', ' ')} {id_}.")


def read(db: Database, resource: str, from_date: date, to_date: date) -> tuple[list[Node], list[Edge]]:
    """The network of a resource with the volumes between two midnights (each point's own zone), ``to_date`` excluded."""
    nodes = [
        Node(id_, kind, name, building, from_micro(norm) if norm is not None else ZERO)
        for id_, kind, name, building, norm in db.rows(
            "SELECT id, kind, name, building_id, loss_norm_pct FROM network_node WHERE resource = ? ORDER BY id",
            (resource,),
        )
    ]
    edges = [
        Edge(
            *row[:5],
            from_micro(row[7] - row[5]) if row[5] is not None and row[7] is not None and row[6] == row[8] else None,
        )
        for row in db.rows(
            "SELECT e.id, e.from_id, e.to_id, e.point_id, e.owner, a.total_micro, a.breaks, b.total_micro, b.breaks"
            " FROM network_edge e JOIN network_node n ON n.id = e.from_id"
            " LEFT JOIN boundary a ON a.point_id = e.point_id AND a.day = ?"
            " LEFT JOIN boundary b ON b.point_id = e.point_id AND b.day = ? WHERE n.resource = ? ORDER BY e.id",
            (day_number(from_date), day_number(to_date), resource),
        )
    ]
    return nodes, edges
