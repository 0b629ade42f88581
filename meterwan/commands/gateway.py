"""``meterwan gateway``: the gateways that are served."""

from __future__ import annotations

from typing import Annotated

import typer

from meterwan.commands.common import Config, Json, Network, Set, as_dict, group, print_record, print_rows, say, settings

app = group("Gateways: add, list, show, remove.")

Eui = Annotated[str, typer.Argument(metavar="EUI", help="Sixteen hex digits, as the gateway sends them.")]


@app.command()
def add(
    eui: Eui,
    name: Annotated[str, typer.Option(help="What people call it.")] = "",
    latitude: Annotated[float | None, typer.Option(min=-90, max=90, help="Degrees north.")] = None,
    longitude: Annotated[float | None, typer.Option(min=-180, max=180, help="Degrees east.")] = None,
    altitude: Annotated[float | None, typer.Option(help="Metres above the sea.")] = None,
    antenna_gain: Annotated[float, typer.Option(help="Antenna gain less cable loss, dBi.")] = 0.0,
    class_b: Annotated[str, typer.Option(help="Who makes its beacons: off, gateway or server.")] = "off",
    config: Config = None,
    set_: Set = None,
) -> None:
    """Serve a gateway, or change one that is served."""
    with Network(settings(config, set_)) as network:
        result = network.call(
            "gateway_put",
            gateway_eui=eui,
            name=name,
            latitude=latitude,
            longitude=longitude,
            altitude_m=altitude,
            antenna_gain_dbi=antenna_gain,
            class_b=class_b,
        )
    say(f"gateway {eui}: {'added' if result.created else 'changed' if result.changed else 'as it was'}")


@app.command("list")
def list_(
    unknown: Annotated[bool, typer.Option("--unknown", help="Gateways that send but are not served.")] = False,
    q: Annotated[str, typer.Option("--q", help="Part of the name or of the EUI.")] = "",
    config: Config = None,
    set_: Set = None,
    json: Json = False,
) -> None:
    """List the gateways."""
    with Network(settings(config, set_)) as network:
        if unknown:
            rows = [as_dict(record) for record in network.call("gateways_unknown").items]
            columns: tuple[str, ...] = ("gateway_eui", "protocol", "address", "first_seen", "last_seen", "datagrams")
        else:
            rows = [as_dict(record) for record in network.all("gateways", q=q)]
            columns = ("gateway_eui", "name", "online", "protocol", "last_seen", "rtt_ms", "uplinks", "downlinks")
    print_rows(rows, columns, json)


@app.command()
def show(eui: Eui, config: Config = None, set_: Set = None, json: Json = False) -> None:
    """Show one gateway and its state."""
    with Network(settings(config, set_)) as network:
        print_record(as_dict(network.call("gateway", key=eui)), json)


@app.command()
def remove(eui: Eui, config: Config = None, set_: Set = None) -> None:
    """Stop serving a gateway."""
    with Network(settings(config, set_)) as network:
        network.call("gateway_delete", key=eui)
    say(f"gateway {eui}: removed")
