"""``meterwan multicast``: groups of devices that hear one downlink."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from meterwan.commands.common import Config, Json, Network, Set, as_dict, group, print_record, print_rows, say, settings
from meterwan.errors import Failure

app = group("Multicast groups: add, list, show, members, send, remove.")

GroupId = Annotated[str, typer.Argument(metavar="GROUP", help="The group's id or name.")]
DevEuis = Annotated[list[str] | None, typer.Option(metavar="DEVEUI", help="A device; may be repeated.")]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What people call it.")],
    mc_addr: Annotated[str, typer.Option(help="McAddr, eight hex digits.")],
    frequency: Annotated[float, typer.Option(help="Where its devices listen, MHz; 0 in class B: as the region says.")],
    dr: Annotated[int, typer.Option(min=0, max=15, help="Data rate.")] = 0,
    class_: Annotated[str, typer.Option("--class", help="B or C.")] = "C",
    ping_periodicity: Annotated[int, typer.Option(min=0, max=7, help="Class B: a ping slot every 2**n s.")] = 7,
    f_cnt_down: Annotated[int, typer.Option(min=0, help="Next FCntDown.")] = 0,
    gateway: Annotated[
        list[str] | None, typer.Option(metavar="EUI", help="A gateway that sends; none: as few as do.")
    ] = None,
    member: DevEuis = None,
    mc_nwk_s_key: Annotated[str, typer.Option(envvar="MC_NWK_S_KEY", help="McNwkSKey, 32 hex digits.")] = "",
    mc_app_s_key: Annotated[str, typer.Option(envvar="MC_APP_S_KEY", help="McAppSKey, 32 hex digits.")] = "",
    config: Config = None,
    set_: Set = None,
) -> None:
    """Make a group. Keys in MC_NWK_S_KEY and MC_APP_S_KEY do not end up in the shell's history."""
    with Network(settings(config, set_)) as network:
        record = network.call(
            "group_put",
            name=name,
            mc_addr=mc_addr,
            device_class=class_,
            dr=dr,
            frequency_hz=round(frequency * 1e6),
            ping_periodicity=ping_periodicity,
            f_cnt_down=f_cnt_down,
            gateways=gateway or [],
            mc_nwk_s_key=mc_nwk_s_key,
            mc_app_s_key=mc_app_s_key,
        )
        if member:
            network.call("group_members_put", group=record.id, add=member)
    say(f"group {name}: added, {record.id}")


@app.command("list")
def list_(
    q: Annotated[str, typer.Option("--q", help="Part of the name or of the address.")] = "",
    config: Config = None,
    set_: Set = None,
    json: Json = False,
) -> None:
    """List the groups."""
    with Network(settings(config, set_)) as network:
        rows = [as_dict(record) for record in network.all("groups", q=q)]
    columns = ("id", "name", "mc_addr", "device_class", "members", "unreached", "queued", "f_cnt_down")
    print_rows(rows, columns, json)


@app.command()
def show(group: GroupId, config: Config = None, set_: Set = None, json: Json = False) -> None:
    """Show a group, its members and its queue."""
    with Network(settings(config, set_)) as network:
        record = _find(network, group)
        shown = as_dict(record)
        shown["member_dev_euis"] = network.call("group_members", key=record.id).dev_euis
        items = network.call("group_queue", key=record.id).items
        shown["queue"] = [{"state": item.state, "reason": item.reason, "data": item.data.hex()} for item in items]
    print_record(shown, json)


@app.command()
def members(
    group: GroupId,
    add: DevEuis = None,
    remove: DevEuis = None,
    config: Config = None,
    set_: Set = None,
) -> None:
    """Add devices to a group, and take others from it."""
    with Network(settings(config, set_)) as network:
        record = network.call("group_members_put", group=_find(network, group).id, add=add or [], remove=remove or [])
    say(f"group {record.name}: {record.members} members, {record.unreached} out of reach")


@app.command()
def send(
    group: GroupId,
    data: Annotated[str, typer.Argument(metavar="HEX", help="The bytes.")],
    f_port: Annotated[int, typer.Option(min=1, max=223, help="FPort.")] = 1,
    config: Config = None,
    set_: Set = None,
) -> None:
    """Queue a downlink for all members."""
    try:
        payload = bytes.fromhex(data)
    except ValueError:
        raise Failure(f"{data!r} is not hex: two digits a byte") from None
    with Network(settings(config, set_)) as network:
        item = network.call("group_queue_put", group=_find(network, group).id, f_port=f_port, data=payload)
    say(f"item {item.id}: {item.state}")


@app.command()
def remove(group: GroupId, config: Config = None, set_: Set = None) -> None:
    """Remove a group; its members stay."""
    with Network(settings(config, set_)) as network:
        network.call("group_delete", key=_find(network, group).id)
    say(f"group {group}: removed")


def _find(network: Network, text: str) -> Any:
    """A group by its id or its whole name. Raises Failure."""
    found = [record for record in network.all("groups") if text in (record.id, record.name)]
    if len(found) != 1:
        why = "there is no such group" if not found else f"{len(found)} groups have this name: give the id"
        raise Failure(f"group {text}: {why}; see meterwan multicast list")
    return found[0]
