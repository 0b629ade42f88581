"""``meterwan region``: what needs no server's data."""

from __future__ import annotations

from typing import Annotated

import typer

from meterwan.commands.common import Config, Json, Set, group, print_json, settings
from meterwan.errors import Failure

region = group("Region plans: list, show.")


@region.command("list")
def region_list(config: Config = None, set_: Set = None, json: Json = False) -> None:
    """List the region plans."""
    import regional
    from regional.show import list_text

    settings(config, set_)
    if not json:
        print(list_text(), end="")
        return
    plans = [regional.plan(name) for name in regional.names()]
    print_json(
        [
            {
                "name": plan.name,
                "revision": plan.revision,
                "default_channels": len(plan.default_channels),
                "presets": list(plan.presets),
                "rx2_frequency_hz": plan.rx2_frequency_hz,
                "rx2_dr": plan.rx2_dr,
                "max_eirp_dbm": plan.max_eirp_dbm,
            }
            for plan in plans
        ]
    )


@region.command("show")
def region_show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="E.g. RU864.")],
    config: Config = None,
    set_: Set = None,
) -> None:
    """Print one plan as tables."""
    import regional
    from regional.show import plan_text

    settings(config, set_)
    try:
        print(plan_text(regional.plan(name)), end="")
    except regional.PlanError as error:
        raise Failure(str(error)) from None
