"""The console's pages of multicast groups, and the queue form's at-most-once."""

from __future__ import annotations

from tests.support.console import Console
from tests.support.pages import fill

FORM = {
    "name": "Подъезд 1",
    "mc_addr": "01020304",
    "class": "C",
    "dr": "3",
    "frequency_mhz": "869,1",
    "ping_periodicity": "7",
    "mc_nwk_s_key": "01020304050607080102030405060708",
    "mc_app_s_key": "02020304050607080102030405060708",
    "gateways": "",
}


async def made(console: Console) -> str:
    await console.sign_in()
    await console.post("/language", language="en", back="/")
    answer = await console.post("/multicast/new", **FORM)
    assert answer.status == 303, answer.text
    return str(next(iter(console.network.group_table)))


async def test_a_group_is_made_and_shown_without_its_keys(console: Console) -> None:
    id = await made(console)
    group = console.network.group_table[id]
    assert (group.frequency_hz, group.dr, group.device_class) == (869_100_000, 3, "C")
    listed = (await console.ask("GET", "/multicast")).text
    shown = (await console.ask("GET", f"/multicast/{id}")).text
    for page in (listed, shown):
        assert "Подъезд 1" in page and "01020304" in page
        assert FORM["mc_nwk_s_key"] not in page and FORM["mc_app_s_key"] not in page
    assert "869.1" in shown and "the fewest that reach all devices" in shown
    assert (await console.ask("GET", "/multicast/nothing")).status == 404


async def test_a_mistake_is_named_and_keys_must_be_typed_again(console: Console) -> None:
    await console.sign_in()
    await console.post("/language", language="en", back="/")
    for change, words in (
        ({"frequency_mhz": "much"}, "must be a frequency in MHz"),
        ({"mc_addr": "1"}, "McAddr"),
        ({"name": ""}, "Name"),
    ):
        answer = await console.post("/multicast/new", **(FORM | change))
        assert answer.status == 422 and words in answer.text
        assert FORM["mc_nwk_s_key"] not in answer.text
    assert console.network.group_table == {}


async def test_members_and_queue(console: Console) -> None:
    pages = await fill(console)
    id = await made(console)
    dev_eui = pages["device"].rpartition("/")[2]
    assert (await console.post(f"/multicast/{id}/members", dev_eui=dev_eui)).status == 303
    assert console.network.member_table[id] == {dev_eui}
    unknown = await console.post(f"/multicast/{id}/members", dev_eui="00" * 8)
    assert unknown.status == 422 and "does not exist" in unknown.text
    assert (await console.post(f"/multicast/{id}/queue", f_port="5", data="0102")).status == 303
    shown = (await console.ask("GET", f"/multicast/{id}")).text
    assert "0102" in shown and f"/devices/{dev_eui}" in shown
    assert (await console.post(f"/multicast/{id}/queue", f_port="5", data="xy")).status == 422
    assert (await console.post(f"/multicast/{id}/members", dev_eui=dev_eui, remove="1")).status == 303
    assert console.network.member_table[id] == set()
    assert (await console.post(f"/multicast/{id}/delete")).status == 303
    assert console.network.group_table == {}


async def test_at_most_once_in_the_queue_form(console: Console) -> None:
    pages = await fill(console)
    await console.sign_in()
    seen = []
    real = console.network.do_queue_put

    def spy(request):  # type: ignore[no-untyped-def]
        seen.append((request.at_most_once, request.confirmed))
        return real(request)

    console.network.do_queue_put = spy  # type: ignore[method-assign]
    assert (await console.post(f"{pages['device']}/queue", f_port="2", data="01", at_most_once="1")).status == 303
    assert seen == [(True, False)]
