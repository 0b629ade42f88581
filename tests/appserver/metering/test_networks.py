"""FR-13: losses from the source to the house, and where they jump."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from appserver import registry
from appserver.db import Database, open_database
from appserver.errors import RegistryError
from appserver.metering.networks import Edge, Node, add_edge, add_node, losses, read, remove
from appserver.metering.readings import NewReading, store
from appserver.metering.timebase import day_number, midnight_us, zone_of

FIRST, LAST = date(2026, 10, 1), date(2026, 11, 1)

NODES = [
    Node(1, "source", "well"),
    Node(2, "trunk", "trunk", norm_pct=Decimal(2)),
    Node(3, "section", "north", norm_pct=Decimal(3)),
    Node(4, "section", "south", norm_pct=Decimal(3)),
    Node(5, "house", "12"),
    Node(6, "house", "14"),
]


def edge(id_: int, from_id: int, to_id: int, volume: str | None, owner: str = "") -> Edge:
    return Edge(id_, from_id, to_id, id_, owner, None if volume is None else Decimal(volume))


EDGES = [
    edge(1, 1, 2, "1000", "supplier"),
    edge(2, 2, 3, "580", "supplier"),
    edge(3, 2, 4, "405", "supplier"),
    edge(4, 3, 5, "430", "house"),
    edge(5, 4, 6, "400", "house"),
]


def test_fr_13_losses_by_node_and_where_they_jump() -> None:
    told = {row.node.name: row for row in losses(NODES, EDGES)}
    assert [row.node.name for row in losses(NODES, EDGES)] == ["well", "trunk", "north", "south", "12", "14"]
    trunk, north, south = told["trunk"], told["north"], told["south"]
    assert (trunk.loss, trunk.loss_pct, trunk.over_norm) == (Decimal(15), Decimal("1.5"), Decimal(-5))
    assert (north.loss, north.loss_pct, north.over_norm) == (Decimal(150), Decimal("25.9"), Decimal("132.6"))
    assert [row.node.name for row in told.values() if row.jump] == ["north"]
    assert (south.loss_pct, south.jump) == (Decimal("1.2"), False)
    assert [row.node.name for row in told.values() if row.boundary] == ["north", "south"]
    assert (told["well"].loss, told["12"].loss, told["12"].came_in) == (None, None, Decimal(430))


def test_fr_13_only_the_first_jump_on_a_way_is_marked() -> None:
    nodes = [Node(n, "section", str(n)) for n in (1, 2, 3, 4)]
    edges = [edge(1, 1, 2, "100"), edge(2, 2, 3, "80"), edge(3, 3, 4, "60")]
    assert [row.node.id for row in losses(nodes, edges) if row.jump] == [2]


def test_fr_13_unknown_meter_is_no_loss() -> None:
    told = {row.node.name: row for row in losses(NODES, [*EDGES[:3], edge(4, 3, 5, None), EDGES[4]])}
    assert (told["north"].loss, told["north"].jump) == (None, False)
    assert told["trunk"].loss == Decimal(15)


def test_fr_13_circle_is_refused() -> None:
    nodes = [Node(1, "section", "a"), Node(2, "section", "b")]
    with pytest.raises(ValueError, match="circle through a, b"):
        losses(nodes, [edge(1, 1, 2, "1"), edge(2, 2, 1, "1")])


@pytest.fixture
def db(tmp_path: Path) -> Database:
    database = open_database(tmp_path / "application.db")
    organisation = registry.create(database, "organisation", {"name": "Водоканал"})
    registry.create(database, "building", {"organisation_id": organisation.id, "address": "Сатка"})
    zone = zone_of("Europe/Moscow")
    readings = []
    for number, volume in enumerate((1000, 900, 60), 1):
        point = registry.create(database, "point", {"building_id": 1, "resource": "cold_water", "role": "node"})
        meter = registry.create(database, "meter", {"serial": str(number), "resource": "cold_water", "digits": 7})
        registry.install(database, point.id, meter.id, date(2026, 9, 1), Decimal(0))
        for day, value in ((FIRST, 5), (LAST, 5 + volume)):
            at_us = midnight_us(day_number(day), zone)
            readings.append(NewReading(meter.id, "volume", at_us, value * 1_000_000, "archive", "lorawan", at_us))
    with database.transaction() as connection:
        store(connection, readings, readings[-1].measured_at_us)
    yield database
    database.close()


def test_fr_13_out_of_the_database(db: Database) -> None:
    source = add_node(db, "cold_water", "source", "well")
    trunk = add_node(db, "cold_water", "trunk", "trunk", norm_pct=Decimal("2.5"))
    house = add_node(db, "cold_water", "house", "12", building_id=1)
    other = add_node(db, "cold_water", "house", "14")
    for point, (from_id, to_id) in enumerate(((source, trunk), (trunk, house), (trunk, other)), 1):
        add_edge(db, from_id, to_id, point, "Водоканал")
    told = {row.node.name: row for row in losses(*read(db, "cold_water", FIRST, LAST))}
    assert (told["trunk"].loss, told["trunk"].over_norm) == (Decimal(40), Decimal(15))
    assert losses(*read(db, "cold_water", FIRST, date(2026, 10, 15)))[1].loss is None
    assert losses(*read(db, "gas", FIRST, LAST)) == []


@pytest.mark.parametrize(
    ("from_id", "to_id", "point", "code"),
    [
        (1, 1, 2, "invalid"),
        (1, 9, 2, "invalid"),
        (1, 3, 9, "not_found"),
        (2, 1, 2, "invalid"),
        (1, 3, 1, "conflict"),
        (1, 4, 2, "invalid"),
    ],
)
def test_fr_13_edges_that_do_not_fit_are_refused(db: Database, from_id: int, to_id: int, point: int, code: str) -> None:
    for resource, name in (("cold_water", "a"), ("cold_water", "b"), ("cold_water", "c"), ("gas", "d")):
        add_node(db, resource, "section", name)
    add_edge(db, 1, 2, 1)
    with pytest.raises(RegistryError) as caught:
        add_edge(db, from_id, to_id, point)
    assert caught.value.code == code


def test_fr_13_nodes_that_do_not_fit_are_refused(db: Database) -> None:
    add_node(db, "cold_water", "section", "a")
    for resource, kind, name, building, norm in (
        ("beer", "section", "b", None, None),
        ("cold_water", "tap", "b", None, None),
        ("cold_water", "section", " ", None, None),
        ("cold_water", "section", "a", None, None),
        ("cold_water", "section", "b", 9, None),
        ("cold_water", "section", "b", None, Decimal(100)),
    ):
        with pytest.raises(RegistryError):
            add_node(db, resource, kind, name, building, norm)
    add_node(db, "cold_water", "section", "b")
    edge_id = add_edge(db, 1, 2, 1)
    with pytest.raises(RegistryError, match="delete them first"):
        remove(db, "network_node", 1)
    remove(db, "network_edge", edge_id)
    remove(db, "network_node", 1)
    with pytest.raises(RegistryError, match="There is no network node 1"):
        remove(db, "network_node", 1)
