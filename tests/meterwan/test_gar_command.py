"""``meterwan gar`` and ``meterwan registry``: a region in, found, bound; all tables out and in."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from appserver import registry
from appserver.db import open_database
from meterwan.cli import app
from tests.support import gar_sample as sample


def run(data: Path, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["gar", *arguments, "--set", f"data_dir={data}"])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def test_fr_24_the_command_loads_finds_and_binds(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    db = open_database(data / "application.db")
    organisation = registry.create(db, "organisation", {"name": "УК"})
    house = registry.create(
        db, "building", {"organisation_id": organisation.id, "address": "г. Сатка, ул. Бакальская, 12"}
    )
    archive = sample.write_zip(tmp_path / "gar_xml.zip")
    (region,) = json.loads(run(data, "import", str(archive), "--region", "74", "--json"))
    assert (region["name"], region["houses"]) == ("Челябинская обл.", 6)
    assert json.loads(run(data, "show", "--json"))[0]["code"] == "74"
    assert json.loads(run(data, "search", sample.guid(7777), "--json"))[0]["guid"] == sample.guid(1000)
    assert json.loads(run(data, "bind", "--dry-run", "--json"))[0]["state"] == "found"
    assert registry.get(db, "building", house.id).fias_guid == ""
    run(data, "bind")
    assert registry.get(db, "building", house.id).fias_guid == sample.guid(1000)
    db.close()
    refused = CliRunner().invoke(app, ["gar", "import", str(archive), "--region", "99", "--set", f"data_dir={data}"])
    assert "no region 99" in str(refused.exception)


def test_fr_28_all_tables_go_out_and_in(tmp_path: Path) -> None:
    def call(data: Path, *arguments: str) -> str:
        result = CliRunner().invoke(app, ["registry", *arguments, "--set", f"data_dir={data}"])
        assert result.exit_code == 0, (result.output, result.exception)
        return result.stdout

    one, other, file = tmp_path / "one", tmp_path / "other", str(tmp_path / "book.xlsx")
    for data in (one, other):
        data.mkdir()
        db = open_database(data / "application.db")
        if data is one:
            registry.create(db, "organisation", {"name": "УК «Сатка»"})
        db.close()
    call(one, "export", file)
    assert "would be created: 1 organisations" in call(other, "import", file, "--dry-run")
    assert "created: 1 organisations" in call(other, "import", file)
    assert "created: nothing" in call(other, "import", file)
