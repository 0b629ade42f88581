"""FilterListReq: which join-requests a relay forwards (TS011-1.0.1 §10.3)."""

from __future__ import annotations

from lns.mac.relay import desired_of, dropped, kept, key_of, parsed
from lns.mac.setting import Setting
from lns.radio import RadioParameters
from lorawan.commands import Command, FilterListAns, FilterListReq
from regional import Plan

NO_RULE = 0


def desired(radio: RadioParameters, wanted: RadioParameters, plan: Plan) -> list[Command]:
    """Rules that the relay lacks, and no rule in the places that are to be empty."""
    places = {key_of(one) for one in parsed(wanted.relay)}
    beyond = [
        FilterListReq(one.index, NO_RULE, b"")
        for one in parsed(radio.relay)
        if isinstance(one, FilterListReq) and key_of(one) not in places
    ]
    return [*desired_of(FilterListReq)(radio, wanted, plan), *beyond]


def applied(radio: RadioParameters, request: FilterListReq, plan: Plan) -> RadioParameters:
    if request.action == NO_RULE:
        return radio._replace(relay=dropped(radio.relay, key_of(request)))
    return radio._replace(relay=kept(radio.relay, request))


SETTING = Setting(FilterListReq, FilterListAns, desired, applied)
