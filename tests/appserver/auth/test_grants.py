"""FR-14: nine parties × the addresses of the API and of the console: what each may do, and what its lists leave out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import pytest
import pytest_asyncio

from appserver.api.table import whole_api
from appserver.auth.grants import PARTIES, Operation
from appserver.auth.members import MEMBER_API, MEMBER_PAGES, PERSONAL
from appserver.auth.places import PLACES
from appserver.auth.roles import API_ACCESS, PAGE_ACCESS
from appserver.residents import photos
from appserver.residents import tickets as desk
from tests.appserver.requirements.test_cabinet import shot
from tests.support.console import running_console
from tests.support.town import Town, make_town

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    async with running_console(tmp_path_factory.mktemp("town") / "data") as console:
        yield await make_town(console)


LETTERS = {
    "M": "management_company",
    "R": "resource_supplier",
    "H": "homeowners",
    "L": "resident",
    "F": "former",
    "D": "developer",
    "S": "service",
    "V": "verifier",
    "U": "auditor",
    "A": "admin",
    "N": "nobody",
}
DAYS = "from=2026-10-01&to=2026-10-06"
OWN = "from=2026-10-03&to=2026-10-06"
BEFORE = "from=2026-10-01&to=2026-10-03"
OF_FLAT = "since=&from=2026-10-03T00:00:00%2B03:00&to=2026-10-06T00:00:00%2B03:00".removeprefix("since=&")
ALL_DAYS = "from=2026-10-01T00:00:00%2B03:00&to=2026-10-06T00:00:00%2B03:00"
API = "/api/v1"
READING = {"value": "101.0", "measured_at": "2026-10-05T12:00:00+03:00"}

MATRIX: list[tuple[str, str, str, Any]] = [
    # method, address, who passes, body
    ("GET", "/me", "MRHLFDSVUAN", None),
    ("GET", "/organisations", "MRHLFDSVUA", None),
    ("GET", "/organisations/{organisation}", "MRHSVUA", None),
    ("GET", "/organisations/{far_organisation}", "RDUA", None),
    ("GET", "/buildings", "MRHLFDSVUA", None),
    ("GET", "/buildings/{near}", "MRHSVUA", None),
    ("GET", "/buildings/{far}", "RDUA", None),
    ("GET", "/buildings/{near}/balance?" + DAYS, "MRHSUA", None),
    ("GET", "/buildings/{near}/balance?resource=hot_water&" + DAYS, "MHSUA", None),
    ("GET", "/buildings/{far}/balance?" + DAYS, "RDUA", None),
    ("GET", "/buildings/{near}/common-needs?month=2026-10-01", "MRHSUA", None),
    ("GET", "/buildings/{near}/weather-control?" + DAYS, "MHSUA", None),
    ("GET", "/premises", "MRHLFDSVUA", None),
    ("GET", "/premises/{flat}", "MRHLSVUA", None),
    ("GET", "/premises/{other_flat}", "MRHSVUA", None),
    ("GET", "/premises/{far_flat}", "RDUA", None),
    ("PUT", "/premises/{flat}", "MSA", {"residents": 2}),
    ("PUT", "/premises/{flat}", "A", {"building_id": "{far}"}),
    ("PUT", "/premises/{flat}", "MA", {"account_number": "74011"}),
    ("GET", "/premises/{flat}/summary?month=2026-11-05", "MRHLSUA", None),
    ("GET", "/premises/{flat}/summary?month=2026-09-05", "MRHFSUA", None),
    ("GET", "/premises/{other_flat}/summary?month=2026-10-05", "MRHSUA", None),
    ("GET", "/entrances", "MDSA", None),
    ("GET", "/accounts", "MRUA", None),
    ("GET", "/accounts/{account}", "MRUA", None),
    ("GET", "/points", "MRHLFDSVUA", None),
    ("GET", "/points/{point}", "MRHLSVUA", None),
    ("GET", "/points/{hot}", "MHLSVUA", None),
    ("GET", "/points/{house_point}", "MRHSVUA", None),
    ("POST", "/points/{point}/replacement", "MSA", {}),
    ("GET", "/points/{point}/tariffs?" + OWN, "MRHLSUA", None),
    ("GET", "/points/{point}/tariffs?" + BEFORE, "MRHFSUA", None),
    ("GET", "/meters", "MRHLFDSVUA", None),
    ("GET", "/meters/{meter}", "MRHLSVUA", None),
    ("GET", "/meters/{hot_meter}", "MHLSVUA", None),
    ("GET", "/meters/{far_meter}", "RDUA", None),
    ("GET", "/meters/{shelf}", "A", None),
    ("PUT", "/meters/{meter}", "A", {"model": "х"}),
    ("GET", "/installations", "MRHLFDSVUA", None),
    ("GET", "/meter-seals", "MRHLFDSVUA", None),
    ("POST", "/meter-seals", "MSA", {"meter_id": "{meter}", "number": "s", "set_on": "2026-10-05"}),
    ("POST", "/meter-seals", "DA", {"meter_id": "{far_meter}", "number": "s", "set_on": "2026-10-05"}),
    ("GET", "/verification-records", "MRHLFDSVUA", None),
    ("POST", "/verification-records", "MVA", {"meter_id": "{meter}", "verified_on": "2026-10-05"}),
    ("GET", "/registry-journal?subject=building&subject_id={near}", "MUA", None),
    ("GET", "/readings?point_id={point}&" + OF_FLAT, "MRHLSUA", None),
    ("GET", "/readings?point_id={point}&" + ALL_DAYS, "MRHSUA", None),
    ("GET", "/readings?point_id={point}", "MRHSUA", None),
    ("GET", "/readings?point_id={hot}&" + OF_FLAT, "MHLSUA", None),
    ("GET", "/readings?meter_id={meter}", "A", None),
    ("POST", "/readings", "MLSA", {"meter_id": "{meter}"} | READING),
    ("POST", "/readings", "A", {"meter_id": "{far_meter}"} | READING),
    ("POST", "/readings/batch", "A", {"source": "import", "readings": []}),
    ("GET", "/readings/last", "MRHLFDSUA", None),
    ("GET", "/statements/individual?building_id={near}&resource=cold_water&" + DAYS, "MRUA", None),
    ("GET", "/statements/individual?building_id={near}&" + DAYS, "MUA", None),
    ("GET", "/statements/balance?building_id={far}&resource=cold_water&format=xlsx&" + DAYS, "RUA", None),
    ("GET", "/billing/registry?building_id={near}&month=2026-10-01&resource=cold_water", "MRUA", None),
    ("GET", "/billing/registry?building_id={near}&month=2026-10-01", "MUA", None),
    ("GET", "/incidents", "MHDSUA", None),
    ("GET", "/incidents/counts", "MHDSUA", None),
    ("GET", "/incidents/{incident}", "MHSUA", None),
    ("GET", "/incidents/{network_incident}", "A", None),
    ("POST", "/incidents/{incident}/acknowledgement", "MHSUA", None),
    ("GET", "/audit", "UA", None),
    ("GET", "/meters/{meter}/passport", "MRHLSVUA", None),
    ("GET", "/meters/{far_meter}/passport?format=pdf", "RDUA", None),
    ("GET", "/meters/{meter}/photos", "MRHLSVUA", None),
    ("POST", "/meters/{meter}/photos", "MSA", {}),
    ("GET", "/photos/{photo}", "MRHLSVUA", None),
    ("DELETE", "/photos/4711", "A", None),
    ("GET", "/tickets", "MHA", None),
    ("GET", "/tickets/{ticket}", "MHA", None),
    ("GET", "/announcements", "MHA", None),
    ("POST", "/announcements", "A", {"title": "всем", "first_day": "2026-10-26"}),
    ("POST", "/premises/{flat}/codes", "MA", {}),
    ("POST", "/premises/{far_flat}/codes", "A", {}),
    ("GET", "/cabinet", "LFA", None),
    ("GET", "/billing/gis/status?building_id={near}&month=2026-10-01", "MHUA", None),
    # what knows no borders is the staff's alone
    ("GET", "/collection", "A", None),
    ("GET", "/frames", "A", None),
    ("GET", "/frames/stream", "A", None),
    ("GET", "/events", "A", None),
    ("GET", "/devices", "A", None),
    ("GET", "/gateways", "A", None),
    ("GET", "/exports", "A", None),
    ("POST", "/exports", "A", {"format": "csv"}),
    ("GET", "/imports", "A", None),
    ("GET", "/deliveries", "A", None),
    ("GET", "/corrections", "A", None),
    ("GET", "/closed-periods", "A", None),
    ("GET", "/verifications", "A", None),
    ("GET", "/users", "A", None),
    ("GET", "/grants", "A", None),
    ("GET", "/networks/cold_water/balance?" + DAYS, "A", None),
    # pages
    ("GET", "page:/houses", "MRHLFDSUA", None),
    ("GET", "page:/houses/{near}", "MRHSUA", None),
    ("GET", "page:/houses/{far}", "RDUA", None),
    ("GET", "page:/houses/{near}/download?name=individual&resource=cold_water&period=2026-10", "MRUA", None),
    ("GET", "page:/houses/{near}/registry", "MUA", None),
    ("POST", "page:/houses/{near}/registry", "A", None),
    ("GET", "page:/meters", "MRHLFDSUA", None),
    ("GET", "page:/meters/{meter}", "MRHLSUA", None),
    ("GET", "page:/meters/{far_meter}", "RDUA", None),
    ("GET", "page:/meters/{meter}/passport", "MRHLSVUA", None),
    ("POST", "page:/meters/{meter}/passport", "A", None),
    ("GET", "page:/meters/{meter}/corrections", "A", None),
    ("GET", "page:/incidents", "MHDSUA", None),
    ("GET", "page:/tickets", "MHA", None),
    ("GET", "page:/tickets/{ticket}", "MHA", None),
    ("GET", "page:/announcements", "MHA", None),
    ("GET", "page:/cabinet", "LFA", None),
    ("GET", "page:/houses/{near}/codes", "MA", None),
    ("GET", "page:/houses/{near}/gis", "A", None),
    ("GET", "page:/meters/{meter}/passport.pdf", "MRHLSVUA", None),
    ("GET", "page:/photos/{photo}", "MRHLSVUA", None),
    ("GET", "page:/live", "A", None),
    ("GET", "page:/live/stream", "A", None),
    ("GET", "page:/periods", "A", None),
    ("GET", "page:/devices", "A", None),
    ("GET", "page:/networks", "A", None),
    ("GET", "page:/admin/users", "A", None),
    ("GET", "page:/admin/audit", "UA", None),
]


def numbers(town: Town) -> dict[str, int]:
    """The numbers of the things that addresses name."""
    db = town.console.services.database
    found = dict(town.ids) | {
        "point": town.near.points["1"],
        "house_point": town.near.points["house"],
        "meter": town.near.meters["1"],
        "far_meter": town.far.meters["1"],
    }
    if not db.rows("SELECT 1 FROM incident"):
        with db.transaction() as connection:
            for building, premises, point, meter in (
                (town.ids["near"], town.ids["flat"], found["point"], found["meter"]),
                (town.ids["far"], town.ids["far_flat"], town.far.points["1"], found["far_meter"]),
                (None, None, None, None),
            ):
                connection.execute(
                    "INSERT INTO incident (kind, subject, building_id, premises_id, point_id, meter_id, dev_eui,"
                    " gateway_eui, severity, started_at_us, seen_at_us, evidence, rule, acknowledged_by)"
                    " VALUES ('leak', ?, ?, ?, ?, ?, '', '', 'warning', 1, 1, '{}', '', '')",
                    (str(meter), building, premises, point, meter),
                )
        desk.ask(db, 1, town.ids["flat"], "fault", "Течёт", "", "resident", town.console.clock())
        photo = photos.keep(db, found["meter"], shot((60, 40)), date(2026, 10, 5), "t", 1)
        assert photo.id == 1
    found |= {"ticket": 1, "photo": 1}
    of = dict(db.rows("SELECT coalesce(building_id, 0), id FROM incident"))
    return found | {"incident": of[town.ids["near"]], "network_incident": of[0]}


def filled(value: Any, names: dict[str, int]) -> Any:
    if isinstance(value, dict):
        return {key: filled(one, names) for key, one in value.items()}
    return names[value[1:-1]] if isinstance(value, str) and value.startswith("{") else value


@pytest.mark.parametrize("letter", LETTERS)
async def test_fr_14_the_matrix_of_parties_and_addresses(town: Town, letter: str) -> None:
    party, names = LETTERS[letter], numbers(town)
    assert len({path for _, path, _, _ in MATRIX}) >= 40
    for method, path, passes, body in MATRIX:
        address = path.removeprefix("page:") if path.startswith("page:") else API + path
        if letter in passes and "stream" in path:
            continue
        arguments = {} if body is None else {"json": filled(body, names)}
        answer = await town.ask(party, method, address.format(**names), **arguments)
        seen = answer.status not in (401, 403)
        assert seen == (letter in passes), (party, method, path, answer.status, answer.text[:300])
        assert answer.status < 500, (party, method, path, answer.text[:300])


LISTS: list[tuple[str, str, dict[str, str]]] = [
    # address, what of an item tells it, and what each party finds ("*" everybody else: nothing that is not here)
    ("/buildings", "id", {"M": "near", "R": "near far", "H": "near", "L": "", "F": "", "D": "far", "S": "near", "V": "near"}),
    ("/organisations", "id", {"M": "organisation", "R": "organisation far_organisation", "L": "", "D": "far_organisation"}),
    ("/meters", "id", {"L": "meter hot_meter", "F": "", "D": "far_meters", "R": "near_cold far_meters", "H": "near_meters"}),
    ("/premises", "id", {"L": "flat", "F": "", "H": "flat other_flat", "D": "far_flats"}),
    ("/points", "id", {"L": "point hot", "F": "", "R": "cold_points"}),
    ("/readings/last", "meter_id", {"L": "meter hot_meter", "F": "", "D": "far_meters", "M": "near_meters", "R": "near_cold far_meters"}),
    ("/incidents", "id", {"M": "incident", "D": "far_incident", "U": "incident far_incident"}),
    ("/accounts", "id", {"M": "near_accounts", "R": "accounts", "U": "accounts"}),
]  # fmt: skip


async def test_fr_14_lists_leave_out_what_is_not_granted(town: Town) -> None:
    names = numbers(town)
    db = town.console.services.database
    groups: dict[str, set[int]] = {name: {id_} for name, id_ in names.items()}
    owners = db.rows("SELECT a.id, p.building_id FROM account a JOIN premises p ON p.id = a.premises_id")
    near, far = set(town.near.meters.values()), set(town.far.meters.values())
    groups |= {
        "accounts": {id_ for id_, _ in owners},
        "near_accounts": {id_ for id_, building in owners if building == names["near"]},
        "near_cold": near,
        "near_meters": near | {names["hot_meter"]},
        "far_meters": far,
        "cold_points": set(town.near.points.values()) | set(town.far.points.values()),
        "far_flats": {id_ for (id_,) in db.rows("SELECT id FROM premises WHERE building_id = ?", (names["far"],))},
        "far_incident": {id_ for (id_,) in db.rows("SELECT id FROM incident WHERE building_id = ?", (names["far"],))},
    }
    for path, key, expected in LISTS:
        for letter, wanted in expected.items():
            answer = await town.ask(LETTERS[letter], "GET", API + path)
            found = {item[key] for item in answer.json["items"]}
            assert found == set().union(*(groups[name] for name in wanted.split())), (path, letter)


async def test_fr_14_accounts_and_their_holders_are_shown_to_whom_they_are_granted(town: Town) -> None:
    near = town.ids["near"]
    pages = (f"/houses/{near}", "/meters", f"{API}/buildings/{near}/balance?{DAYS}", f"{API}/premises")
    for path in (*pages, f"{API}/readings/last"):
        assert "74011" in (await town.ask("management_company", "GET", path)).text, path
        for party in ("homeowners", "service"):
            answer = await town.ask(party, "GET", path)
            assert (answer.status, "7401" in answer.text) == (200, False), (party, path)
    # nor can they be found out by searching
    for path in (f"{API}/readings/last?q=74011", f"{API}/premises?q=74011"):
        assert len((await town.ask("management_company", "GET", path)).json["items"]) >= 1
        assert (await town.ask("service", "GET", path)).json["items"] == []
    assert (await town.ask("service", "GET", f"{API}/premises?account_number=74011")).status == 422
    for party in ("management_company", "resource_supplier"):
        assert "Иванов" in (await town.ask(party, "GET", f"{API}/accounts")).text


async def test_fr_14_a_supplier_sees_its_resource_on_every_page(town: Town) -> None:
    for path in ("/meters", f"/houses/{town.ids['near']}", "/houses"):
        page = (await town.ask("resource_supplier", "GET", path)).text
        assert "hot1" not in page and "resource=hot_water" not in page.replace("resource=hot_water&", ""), path
    answer = await town.ask("resource_supplier", "GET", f"{API}/premises/{town.ids['flat']}/summary?month=2026-10-01")
    assert {item["resource"] for item in answer.json} == {"cold_water"}


async def test_fr_14_who_moved_out_keeps_the_own_days_and_sees_no_later_ones(town: Town) -> None:
    point = town.near.points["1"]
    first = "from=2026-10-01T00:00:00%2B03:00&to=2026-10-03T00:00:00%2B03:00"
    kept = await town.ask("former", "GET", f"{API}/readings?point_id={point}&{first}")
    assert kept.status == 200 and len(kept.json["items"]) == 2
    for days in ("", first.replace("10-03", "10-04"), OF_FLAT):
        assert (await town.ask("former", "GET", f"{API}/readings?point_id={point}&{days}")).status == 403
    answer = await town.ask("former", "GET", f"{API}/premises/{town.ids['flat']}/summary?month=2026-09-01")
    assert [(item["last_value"], item["incidents"]) for item in answer.json if item["resource"] == "cold_water"] == [
        ("100.150", [])
    ]
    page = (await town.ask("resident", "GET", f"/meters/{town.near.meters['1']}")).text
    assert "100.300" in page and "100.150" not in page, "readings since the day of moving in"


async def test_fr_14_a_value_that_may_be_read_in_two_ways_is_refused(town: Town) -> None:
    mine, theirs = town.near.meters["1"], town.far.meters["1"]
    twice = f'{{"meter_id": {mine}, "meter_id": {theirs}, "value": "1", "measured_at": "2026-10-05T12:00:00+03:00"}}'
    headers = {"Content-Type": "application/json"}
    assert (await town.ask("service", "POST", f"{API}/readings", data=twice, headers=headers)).status == 400
    for odd in ("1.0", " 1", "1_0", "+1", [mine], {"a": mine}, True, 1.0):
        answer = await town.ask("service", "POST", f"{API}/readings", json={"meter_id": odd} | READING)
        assert answer.status == 403, odd
    path = f"{API}/readings?point_id={town.near.points['1']}&point_id={town.far.points['1']}"
    assert (await town.ask("service", "GET", path)).status == 422


async def test_fr_14_looks_at_personal_data_are_written_down(town: Town) -> None:
    await town.ask("management_company", "GET", f"{API}/accounts/{town.ids['account']}")
    await town.ask("admin", "GET", f"/houses/{town.ids['far']}")
    await town.ask("developer", "GET", f"{API}/accounts/{town.ids['account']}")
    records = (await town.ask("auditor", "GET", f"{API}/audit?action=personal.read")).json["items"]
    seen = [(record["actor"], record["object_kind"], record["object_id"]) for record in records]
    assert seen[0] == ("chief", "building", str(town.ids["far"]))
    assert seen[1] == ("management_company", "account", str(town.ids["account"]))
    assert not [one for one in seen if one[0] == "developer" and one[1] == "account"], "refused: nothing was seen"


async def test_fr_14_grants_are_given_narrowed_and_taken(town: Town) -> None:
    console = town.console
    made = await console.api("POST", "/users", json={"login": "new", "password": "a long password 1", "role": "member"})
    user, path = made.json["id"], f"/users/{made.json['id']}/grants"
    for wrong, at in (
        ({"party": "resident"}, "premises_id"),
        ({"party": "verifier", "operations": ["personal"]}, "operations"),
        ({"party": "verifier", "building_id": 4711}, "building_id"),
        ({"party": "service", "since": "2026-10-02", "until": "2026-10-02"}, "until"),
    ):
        answer = await console.api("POST", path, json=wrong)
        assert (answer.status, answer.json["errors"][0]["field"]) == (422, at), wrong
    grant = {"party": "service", "address": "г. Сатка, ул. Бакал", "operations": ["meters", "enter"]}
    given = (await console.api("POST", path, json=grant)).json
    assert given["operations"] == ["enter", "meters"] and given["created_by"] == "token:admin"
    assert (await console.api("PUT", f"/grants/{given['id']}", json={"until": "2026-12-01"})).json[
        "until"
    ] == "2026-12-01"
    assert [one["id"] for one in (await console.api("GET", f"/grants?user_id={user}")).json["items"]] == [given["id"]]
    assert (await console.api("DELETE", f"/grants/{given['id']}")).status == 204
    assert (await console.api("DELETE", f"/grants/{given['id']}")).status == 404
    viewer = await console.add_user("eye", "x", role="viewer")
    assert (await console.api("POST", f"/users/{viewer}/grants", json={"party": "auditor"})).status == 422
    assert (await console.api("POST", "/tokens", json={"name": "t", "role": "member"})).status == 422
    actions = {record["action"] for record in (await console.api("GET", "/audit?action=grant")).json["items"]}
    assert actions == {"grant.give", "grant.end", "grant.take"}


async def test_fr_14_a_street_is_no_prefix_of_another(town: Town) -> None:
    """``ул. Бакал`` does not reach ``ул. Бакальская``."""
    from appserver.auth import grant_store
    from appserver.models import User
    from tests.support.town import _open

    auth, db = town.console.services.auth, town.console.services.database
    user = await auth.create_user(User(login="prefix", password_hash="-", role="member", created_at_us=0))
    grant_store.give(db, user.id or 0, {"party": "service", "address": "г. Сатка, ул. Бакал"}, "t", 0)
    await _open(town, "prefix", user)
    assert (await town.ask("prefix", "GET", f"{API}/buildings")).json["items"] == []


async def test_fr_14_the_tables_name_what_there_is() -> None:
    assert set(MEMBER_API) <= set(API_ACCESS)
    assert set(MEMBER_PAGES) <= set(PAGE_ACCESS)
    for table, access in ((MEMBER_API, API_ACCESS), (MEMBER_PAGES, PAGE_ACCESS)):
        for path, rules in table.items():
            assert set(rules) <= set(access[path]), path
            for rule in rules.values():
                for place in rule.places:
                    kind = place.split(" ")[1]
                    assert kind in PLACES or kind.startswith("query."), place
    for path in PERSONAL:
        assert path.removeprefix("/api/v1") in API_ACCESS if path.startswith("/api/") else path in PAGE_ACCESS, path
    assert {operation for most in PARTIES.values() for operation in most} == set(Operation)
    assert {o.path for o in whole_api().operations} <= set(API_ACCESS)
