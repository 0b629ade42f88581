"""Settings: sources in order, origins, and errors that name the key and its origin."""

from __future__ import annotations

from pathlib import Path

import pytest

import regional
from meterwan.errors import SettingsError
from meterwan.settings import Settings, load


def write(folder: Path, text: str) -> Path:
    file = folder / "meterwan.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_defaults_are_the_documented_ones() -> None:
    settings = load(environment={}).settings
    assert settings.data_dir == Path("./data")
    assert settings.region == "RU864"
    assert settings.http.listen == "127.0.0.1:8080"
    assert settings.gateways.udp.listen == "0.0.0.0:1700"
    assert settings.gateways.basicstation.listen == settings.joinserver.http.listen == ""
    assert settings.database.url == settings.redis.url == ""
    assert settings.for_network().deduplication_window_ms == 200


def test_each_source_covers_the_one_before(tmp_path: Path) -> None:
    file = write(tmp_path, 'region = "EU868"\n[network]\nnet_id = "000013"\n[http]\nlisten = "127.0.0.1:9000"\n')
    loaded = load(
        file,
        {"METERWAN__NETWORK__NET_ID": "000014", "METERWAN__HTTP__LISTEN": "127.0.0.1:9001", "OTHER__X": "1"},
        ["http.listen=127.0.0.1:9002"],
    )
    origins = {key: (value, origin) for key, value, origin in loaded.rows()}
    assert origins["region"] == ('"EU868"', str(file))
    assert origins["network.net_id"] == ('"000014"', "METERWAN__NETWORK__NET_ID")
    assert origins["http.listen"] == ('"127.0.0.1:9002"', "--set http.listen")
    assert origins["redis.url"] == ('""', "default")
    assert loaded.settings.for_network().net_id == "000014"
    assert loaded.settings.for_application().http.port == 9002


def test_lists_come_from_the_environment_as_toml() -> None:
    loaded = load(environment={"METERWAN__HTTP__TRUSTED_PROXIES": '["10.0.0.0/8", "127.0.0.1"]'})
    assert loaded.settings.http.trusted_proxies == ["10.0.0.0/8", "127.0.0.1"]


def test_every_key_can_be_written_as_environment_variable() -> None:
    for key, _, _ in load(environment={}).rows():
        name = "METERWAN__" + key.upper().replace(".", "__")
        with pytest.raises(SettingsError) as refused:
            load(environment={name: "{impossible"}) and load(environment={name: '["impossible"]'})
        assert key in str(refused.value) and name in str(refused.value)


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        ("regoin = 'RU864'", "regoin ({file}): no such setting; did you mean region?"),
        ("[http]\nlsten = 'x:1'", "http.lsten ({file}): no such setting; did you mean http.listen?"),
        ("[network]\nregion = 'RU864'", "network.region ({file}): no such setting"),
        ("[nonsense]\na = 1", "nonsense ({file}): no such setting"),
        ("[http]\nlisten = 'here'", 'http.listen = "here" ({file}): write it as host:port, for example 127.0.0.1:8080'),
        ("http = 5", "http = 5 ({file}): input should be a valid dictionary or instance of HttpSettings"),
        ("[database]\nurl = 'x://h/d'", "write it as postgresql://user:password@host:5432/database"),
        ("[gateways.basicstation]\nlisten = '0.0.0.0:3001'", "gateways.basicstation.listen"),
        ("region = 'XX000'", 'region = "XX000" ({file}): no such region; there are '),
        ("[network]\nchannels = '867'", "RU864 has no such preset; there are 864, 866, default"),
        ("[network]\ndeduplication_window_ms = 90000", "network.deduplication_window_ms = 90000 ({file}): "),
        ("a = ", "is not TOML"),
    ],
)
def test_errors_name_the_key_and_its_origin(tmp_path: Path, toml: str, expected: str) -> None:
    file = write(tmp_path, toml)
    with pytest.raises(SettingsError) as refused:
        load(file, {})
    assert len(refused.value.lines) == 1 and "\n" not in refused.value.lines[0]
    assert expected.format(file=file) in refused.value.lines[0]


def test_all_wrong_keys_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        load(write(tmp_path, "one = 1\ntwo = 2\n"), {"METERWAN__HTTP__LISTEN": "?"})
    assert [line.split()[0] for line in refused.value.lines] == ["http.listen", "one", "two"]


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read the settings file"):
        load(tmp_path / "none.toml", {})


def test_secrets_are_masked_and_placeholders_refused(tmp_path: Path) -> None:
    from meterwan.settings import shown

    assert shown(("mqtt", "password"), "hunter2") == '"********"'
    assert shown(("http", "url"), "https://me:hunter2@host/") == '"https://me:********@host/"'
    with pytest.raises(SettingsError, match=r"http.public_url .*placeholder"):
        load(environment={"METERWAN__HTTP__PUBLIC_URL": "https://me:changeme@host"})


def test_sections_hold_every_setting_of_the_rooms() -> None:
    settings = Settings()
    assert settings.for_network().model_dump() == type(settings.for_network())(data_dir=Path("data")).model_dump()
    assert settings.for_application().language == "ru"


def test_region_plans_of_ones_own_lie_in_the_data_folder(tmp_path: Path) -> None:
    regions = tmp_path / "regions"
    regions.mkdir()
    shipped = Path(regional.__file__).parent / "plans" / "RU864.toml"
    (regions / "MY864.toml").write_text(shipped.read_text().replace('"RU864"', '"MY864"'))
    given = [f"data_dir={tmp_path}", "region=MY864"]
    try:
        assert load(environment={}, overrides=given).settings.for_network().region == "MY864"
        (regions / "MY864.toml").write_text("nonsense = ")
        with pytest.raises(SettingsError) as refused:
            load(environment={}, overrides=given)
        assert "MY864" in refused.value.lines[0]
    finally:
        regional.use_folder(None)
