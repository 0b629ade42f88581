"""``meterwan gateway credentials|station|firmware``: what Basics Stations are given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meterwan.commands.common import Config, Json, Network, Set, as_dict, group, print_rows, say, settings
from meterwan.commands.gateway import Eui
from meterwan.errors import Failure

if TYPE_CHECKING:
    from internalapi.messages import StationCredentials

firmware = group("Updates that CUPS hands out to Basics Stations: add, list, remove.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The update's name.")]


def credentials(
    eui: Eui,
    uri: Annotated[
        str, typer.Option(help="wss://host:port of this server; [gateways.basicstation] uri by default.")
    ] = "",
    folder: Annotated[
        Path | None, typer.Option(help="Write tc.uri, tc.trust, tc.key and the same for cups into this new folder.")
    ] = None,
    revoke: Annotated[bool, typer.Option("--revoke", help="End all its tokens instead, and its connection.")] = False,
    config: Config = None,
    set_: Set = None,
) -> None:
    """Make new tokens for a Basics Station; they are shown once. The old ones end when the new ones are used."""
    loaded = settings(config, set_)
    if revoke:
        with Network(loaded) as network:
            ended = network.call("station_credentials_delete", key=eui).tokens
        say(f"gateway {eui}: {ended} tokens ended")
        return
    if folder is not None and folder.exists() and any(folder.iterdir()):
        raise Failure(f"{folder} is not empty; name a new folder")
    with Network(loaded) as network:
        made = network.call("station_credentials_put", gateway_eui=eui, uri=uri)
    if folder is not None:
        _write(folder, made)
        say(f"gateway {eui}: six files for the station are in {folder}; copy them to the folder of its station.conf")
        return
    say(f"tc.uri    {made.lns_uri}\ntc.key    Authorization: Bearer {made.lns_token}")
    say(f"cups.uri  {made.cups_uri}\ncups.key  Authorization: Bearer {made.cups_token}")
    say(f"tc.trust and cups.trust:\n{made.trust}" if made.trust else "without TLS there is no tc.trust")


def _write(folder: Path, made: StationCredentials) -> None:
    from meterwan.datadir import write_secret

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, uri, token in (("tc", made.lns_uri, made.lns_token), ("cups", made.cups_uri, made.cups_token)):
        (folder / f"{name}.uri").write_text(f"{uri}\n")
        if made.trust:
            (folder / f"{name}.trust").write_text(made.trust)
        write_secret(folder / f"{name}.key", f"Authorization: Bearer {token}\r\n".encode())


def station(
    eui: Eui,
    region: Annotated[str, typer.Option(help="Name of the region told to the station, e.g. AU915.")] = "",
    max_eirp: Annotated[float | None, typer.Option(min=-10, max=36, help="Power of all its downlinks, dBm.")] = None,
    concentrator: Annotated[str, typer.Option(help="sx1301 or sx1302.")] = "",
    config: Config = None,
    set_: Set = None,
) -> None:
    """Set what one Basics Station is told; options not given are as [gateways.basicstation] says."""
    with Network(settings(config, set_)) as network:
        result = network.call(
            "station_setup_put", gateway_eui=eui, region=region, max_eirp_dbm=max_eirp, concentrator=concentrator
        )
    say(f"gateway {eui}: {'changed' if result.changed else 'as it was'}")


@firmware.command("add")
def add(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="What the station shall run.")],
    package: Annotated[str, typer.Option(help="What the station calls its version afterwards (package).")],
    name: Annotated[str, typer.Option(help="The update's name; the file's by default.")] = "",
    model: Annotated[str, typer.Option(help="Only for stations of this model.")] = "",
    gateway: Annotated[list[str] | None, typer.Option(help="Only for this EUI; may be given again.")] = None,
    signature: Annotated[Path | None, typer.Option(exists=True, help="ECDSA P-256 of the SHA-512, in DER.")] = None,
    key: Annotated[
        Path | None, typer.Option(exists=True, help="The public key, 64 bytes: the station's sig-N.key.")
    ] = None,
    config: Config = None,
    set_: Set = None,
) -> None:
    """Hand out an update. Stations that have a key take it only with a signature."""
    import hashlib
    import zlib

    if (signature is None) != (key is None):
        raise Failure("--signature and --key go together")
    loaded, image = settings(config, set_), file.read_bytes()
    digest = hashlib.sha512(image).hexdigest()
    signed: dict[str, Any] = {}
    if signature is not None and key is not None:
        _verify(image, signature.read_bytes(), key.read_bytes(), str(file))
        signed = {"signature": signature.read_bytes().hex(), "key_crc": zlib.crc32(key.read_bytes())}
    with Network(loaded) as network:
        kept = loaded.settings.data_dir / "firmware" / f"{digest[:16]}.bin"
        kept.parent.mkdir(mode=0o700, exist_ok=True)
        temporary = kept.with_suffix(".new")
        temporary.write_bytes(image)
        temporary.replace(kept)
        network.call(
            "firmware_put",
            name=name or file.name,
            package=package,
            file=kept.name,
            size=len(image),
            sha512=digest,
            model=model,
            gateways=gateway or [],
            **signed,
        )
    say(f"update {name or file.name}: added, {len(image)} bytes, for {model or 'any model'}")


def _verify(image: bytes, signature: bytes, key: bytes, file: str) -> None:
    """Raises Failure when the station would not run it."""
    from Crypto.Hash import SHA512
    from Crypto.PublicKey import ECC
    from Crypto.Signature import DSS

    if len(key) != 64:
        raise Failure(f"the public key has {len(key)} bytes; a station's sig-N.key has 64, X and Y of a point on P-256")
    try:
        point = ECC.construct(
            curve="P-256", point_x=int.from_bytes(key[:32], "big"), point_y=int.from_bytes(key[32:], "big")
        )
        DSS.new(point, "fips-186-3", encoding="der").verify(SHA512.new(image), signature)
    except ValueError as error:
        raise Failure(f"the signature of {file} does not hold: {error}") from None


@firmware.command("list")
def list_(config: Config = None, set_: Set = None, json: Json = False) -> None:
    """List the updates."""
    with Network(settings(config, set_)) as network:
        rows = [as_dict(record) for record in network.call("firmware").items]
    print_rows(rows, ("name", "package", "model", "gateways", "size", "created_at"), json)


@firmware.command("remove")
def remove(name: Name, config: Config = None, set_: Set = None) -> None:
    """Hand an update out no more."""
    loaded = settings(config, set_)
    with Network(loaded) as network:
        files = {record.name: record.file for record in network.call("firmware").items}
        network.call("firmware_delete", key=name)
        if name in files and list(files.values()).count(files[name]) == 1:
            (loaded.settings.data_dir / "firmware" / files[name]).unlink(missing_ok=True)
    say(f"update {name}: removed")
