"""``meterwan profile``: what devices of one kind have in common."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from meterwan.commands.common import Config, Json, Network, Set, as_dict, group, print_record, print_rows, say, settings
from meterwan.errors import Failure

if TYPE_CHECKING:
    from internalapi import messages as m

app = group("Device profiles: list, show, add, remove.")

RADIO = (
    "rx1_delay_s",
    "rx1_dr_offset",
    "rx2_dr",
    "rx2_frequency_hz",
    "max_duty_cycle",
    "uplink_dwell_time",
    "downlink_dwell_time",
    "max_eirp_dbm",
    "adr_ack_limit_exp",
    "adr_ack_delay_exp",
    "rejoin_time_n",
    "rejoin_count_n",
    "ping_slot_frequency_hz",
    "ping_slot_dr",
    "beacon_frequency_hz",
)
CHANNEL = re.compile(r"(\d{8,10})(?::(\d{1,2})-(\d{1,2}))?(?:@(\d{8,10}))?")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Stable identifier, e.g. karat-926lw.")]


@app.command("list")
def list_(config: Config = None, set_: Set = None, json: Json = False) -> None:
    """List the profiles."""
    with Network(settings(config, set_)) as network:
        rows = [as_dict(record) for record in network.call("profiles").items]
    print_rows(rows, ("name", "title", "mac_version", "region", "device_class", "codec", "built_in"), json)


@app.command()
def show(name: Name, config: Config = None, set_: Set = None, json: Json = False) -> None:
    """Show one profile."""
    with Network(settings(config, set_)) as network:
        for record in network.call("profiles").items:
            if record.name == name:
                print_record(as_dict(record), json)
                return
    raise Failure(f"there is no profile {name}; `meterwan profile list` shows them")


@app.command()
def add(
    name: Name,
    title: Annotated[str, typer.Option(help="What people read.")] = "",
    mac_version: Annotated[str, typer.Option(help="LoRaWAN version: 1.0.2, 1.0.3, 1.0.4, 1.1.0 …")] = "1.0.3",
    region: Annotated[str, typer.Option(help="Region plan; the server's by default.")] = "",
    device_class: Annotated[str, typer.Option("--class", help="A, B or C.")] = "A",
    codec: Annotated[str, typer.Option(help="Name of the payload codec.")] = "",
    adr: Annotated[str, typer.Option(help="default, recommended, static or off.")] = "default",
    adr_margin: Annotated[float, typer.Option(min=0, max=40, help="dB; more for basements.")] = 10.0,
    expected_interval: Annotated[int, typer.Option(min=60, help="Seconds between frames, at most.")] = 86400,
    ping_slot_periodicity: Annotated[
        int | None,
        typer.Option(min=0, max=7, help="Class B: a ping slot every 2**n s, of devices that do not tell it."),
    ] = None,
    relaxed_f_cnt_reset: Annotated[
        bool, typer.Option(help="ABP devices may begin FCntUp anew, with a frame never heard before.")
    ] = False,
    radio: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="A radio parameter to ask of devices, e.g. rx2_dr=3; again for more."),
    ] = None,
    channel: Annotated[
        list[str] | None,
        typer.Option(metavar="HZ[:MIN-MAX][@HZ]", help="An extra channel, its data rates and RX1; again for more."),
    ] = None,
    config: Config = None,
    set_: Set = None,
) -> None:
    """Make a profile, or change one of your own."""
    loaded = settings(config, set_)
    with Network(loaded) as network:
        result = network.call(
            "profile_put",
            name=name,
            title=title or name,
            mac_version=mac_version,
            region=region or loaded.settings.region,
            device_class=device_class,
            codec=codec,
            adr=adr,
            adr_margin_db=adr_margin,
            expected_interval_s=expected_interval,
            relaxed_f_cnt_reset=relaxed_f_cnt_reset,
            ping_slot_periodicity=ping_slot_periodicity,
            **_radio(radio or []),
            **({"channels": [_channel(text) for text in channel]} if channel else {}),
        )
    say(f"profile {name}: {'added' if result.created else 'changed' if result.changed else 'as it was'}")


WORDS = {"true": True, "yes": True, "false": False, "no": False}


def _radio(pairs: list[str]) -> dict[str, int | bool]:
    """``rx2_dr=3`` as a field of the profile. Raises Failure that lists the fields."""
    fields: dict[str, int | bool] = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key not in RADIO:
            raise Failure(f"--radio {pair}: there is no such parameter; there are {', '.join(RADIO)}")
        if not value.isdigit() and value not in WORDS:
            raise Failure(f"--radio {pair}: a whole number, or true or false")
        fields[key] = WORDS[value] if value in WORDS else int(value)
    return fields


def _channel(text: str) -> m.ChannelWrite:
    """``864100000:0-5@869100000`` as a channel."""
    found = CHANNEL.fullmatch(text)
    if found is None:
        raise Failure(f"--channel {text}: HZ, HZ:MIN-MAX or HZ:MIN-MAX@HZ, e.g. 864100000:0-5@869100000")
    hz, low, high, down = (None if part is None else int(part) for part in found.groups())
    from internalapi.devices import ChannelWrite  # not with every command: it takes as long as all the rest

    return ChannelWrite(hz or 0, low, high, down)


@app.command()
def remove(name: Name, config: Config = None, set_: Set = None) -> None:
    """Remove a profile that no device uses."""
    with Network(settings(config, set_)) as network:
        network.call("profile_delete", key=name)
    say(f"profile {name}: removed")
