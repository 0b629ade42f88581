"""FR-13 on a page: nodes from the source down, and where losses jump."""

from __future__ import annotations

import pytest

from appserver.metering.networks import add_edge, add_node
from tests.support.console import Console
from tests.support.house import make_house


@pytest.mark.parametrize(
    ("language", "words"),
    [("ru", ("Сети", "источник", "здесь скачок потерь")), ("en", ("Networks", "source", "losses jump here"))],
)
async def test_fr_13_the_page_of_networks(console: Console, language: str, words: tuple[str, ...]) -> None:
    db = console.services.database
    await console.sign_in()
    await console.post("/language", language=language, back="/")
    assert "API" in (await console.ask("GET", "/networks")).text
    house = make_house(db)
    ids = [
        add_node(db, "cold_water", kind, name)
        for kind, name in (("source", "<i>well"), ("section", "a"), ("house", "b"))
    ]
    add_edge(db, ids[0], ids[1], house.points["house"], "one")
    add_edge(db, ids[1], ids[2], house.points["2"], "other")
    db.connection.execute("UPDATE boundary SET day = ? WHERE day = (SELECT max(day) FROM boundary)", (20_758,))
    answer = await console.ask("GET", "/networks?resource=cold_water&period=2026-10")
    assert answer.status == 200
    for word in words:
        assert word in answer.text
    assert "<i>well" not in answer.text
    assert "%(" not in answer.text
