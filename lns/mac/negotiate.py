"""How the server and a device come to the same parameters, for all commands that set something.

The server asks for the difference between what the device has acknowledged and what it should have. A request that was sent
is kept with the session until its answer comes, in the same batch as the downlink's counter: so an answer, most of which name
no value, is understood after a crash too. Without an answer the same request is repeated at growing distances; the device may
have obeyed it, and until the answer comes the windows of both cases are used (:func:`windows`). A refusal is noted, asked a
few times more, and then left in peace for days.

A device repeats the answers about its windows until it hears a downlink. They are told from answers to a new request of the
same kind by one rule: such a request never goes down with the answer to an uplink that carries that answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lns import events
from lns.mac.context import Block, MacContext
from lns.mac.desired import desired
from lns.mac.parameters import SETTINGS, SETTINGS_OF, WINDOW_CIDS
from lns.mac.setting import Setting
from lns.mac.state import Refusal
from lns.mac.versions import STICKY, version_of
from lns.radio import RadioParameters
from lorawan.commands import Command, LinkADRReq, StatusAnswer, describe, encode_commands, parse_commands
from regional import Plan

if TYPE_CHECKING:
    from lns.session import Session
    from lns.state import NetworkState

MAX_REFUSALS = 3
"""Refusals of one request in a row after which the device is left as it is for :data:`PEACE_US`."""
PEACE_US = 7 * 86_400_000_000
MAX_BLOCK = 15
"""Bytes of one block beside an application item: what FOpts hold."""
MAX_BLOCK_ALONE = 45
"""Bytes of one block that may travel on port 0: what a frame at DR0 holds."""
SILENT_AFTER = 8
"""Tries without an answer after which the device's owner is told."""
STICKY_AT_ONCE = 3
"""Repeated answers in a row that get a downlink of their own; then only every fourth does: nobody seems to hear it."""


# --------------------------------------------------------------------------------------------------- what is under way


@lru_cache(maxsize=4096)
def under_way(asked: bytes) -> tuple[Command, ...]:
    """The requests in ``RadioParameters.asked``."""
    return tuple(parse_commands(asked, uplink=False, lorawan_1_1=True))


def is_asked(request: type[Command], context: MacContext) -> bool:
    """True when such a request was sent and not answered."""
    asked = context.session.radio.asked
    return bool(asked) and any(isinstance(command, request) for command in under_way(asked))


def is_under_way(request: type[Command], context: MacContext) -> bool:
    """True while the device may have obeyed such a request without our knowing; not for ever, for it may not know it."""
    if not is_asked(request, context):
        return False
    return context.mac.asking_of(request.cid).tries < SILENT_AFTER  # type: ignore[arg-type]


def without(asked: bytes, cids: set[int]) -> bytes:
    """``asked`` without the commands of these CIDs."""
    return encode_commands(command for command in under_way(asked) if command.cid not in cids)


def note_sent(block: Block, context: MacContext) -> None:
    """These requests are in the frame that is being made: from its first moment on air the device may obey them."""
    cids = {command.cid for command in block}
    for cid in cids:
        context.mac.asking_of(cid).sent(context.gathered.f_cnt, context.now.mono_us)
    radio = context.session.radio
    context.set_radio(radio._replace(asked=without(radio.asked, cids) + encode_commands(block)))
    for cid in cids:
        _tell_silence(cid, block, context)


def _tell_silence(cid: int, block: Block, context: MacContext) -> None:
    if context.mac.asking_of(cid).tries != SILENT_AFTER:
        return
    request = next(command for command in block if command.cid == cid)
    events.emit_log(
        context.state, context.device, context.gathered.wall_us, "WARNING", "MAC_NO_ANSWER",
        f"asked {SILENT_AFTER} times without an answer: {describe(request)}; it is asked more rarely now",
    )  # fmt: skip


def windows(state: NetworkState, session: Session) -> tuple[RadioParameters, RadioParameters | None]:
    """By which parameters the device listens, likelier ones first; None: there is no doubt.

    A device that had obeyed would repeat its answer (since 1.0.2), so the acknowledged parameters are likelier. After some
    tries without an answer they take turns: the device may be one that does not repeat.
    """
    radio = session.radio
    if not radio.asked:
        return radio, None
    other = after_all(radio, state.plan)
    mac = session.device.mac
    asking = mac.asking.values() if mac is not None and mac.asking is not None else ()
    tries = max((one.tries for one in asking), default=0)
    patience = 2 if version_of(session) in STICKY else 1
    return (other, radio) if tries > patience and (tries - patience) % 2 else (radio, other)


@lru_cache(maxsize=4096)
def after_all(radio: RadioParameters, plan: Plan) -> RadioParameters:
    """The parameters with all requests under way obeyed."""
    for request in under_way(radio.asked):
        setting = SETTINGS.get(type(request))
        if setting is not None:
            radio = setting.applied(radio, request, plan)
    return radio


# ------------------------------------------------------------------------------------------------------------ asking


@lru_cache(maxsize=4096)
def differences(
    radio: RadioParameters, wanted: RadioParameters, version: str, plan: Plan
) -> tuple[tuple[Setting, tuple[Command, ...]], ...]:
    """Requests by command that lead from what a device has to what it should have, in the order to ask them."""
    found = ((setting, tuple(setting.desired(radio, wanted, plan))) for setting in SETTINGS_OF[version])
    return tuple((setting, requests) for setting, requests in found if requests)


def ask_settings(context: MacContext) -> Iterator[Block]:
    """Blocks to ask now: first again what was not answered, then what is new."""
    session, state = context.session, context.state
    radio, wanted = session.radio, desired(state, session)
    if radio is wanted:
        return
    waiting = [command for command in under_way(radio.asked) if not isinstance(command, LinkADRReq)]
    yield from _again(waiting, context)
    busy = {command.cid for command in waiting}
    yield from _new(differences(radio, wanted, version_of(session), state.plan), busy, context)


def _again(waiting: Sequence[Command], context: MacContext) -> Iterator[Block]:
    """What is under way and due, as it was sent: requests about windows all together, others by command."""
    groups: dict[object, list[Command]] = {}
    for command in waiting:
        setting = SETTINGS.get(type(command))
        if setting is not None:
            groups.setdefault("windows" if setting.moves_windows else command.cid, []).append(command)
    for group in groups.values():
        if all(_may_ask(command, context) for command in group):
            yield _first(group, context)


def _new(wanted: Sequence[tuple[Setting, tuple[Command, ...]]], busy: set[int], context: MacContext) -> Iterator[Block]:
    windows: list[Command] = []
    for setting, requests in wanted:
        fresh = [one for one in requests if one.cid not in busy and _may_ask(one, context)]
        if setting.moves_windows:
            windows += fresh
        elif fresh:
            yield _first(fresh, context)
    if windows and not busy & WINDOW_CIDS:
        yield _first(windows, context)


def _may_ask(request: Command, context: MacContext) -> bool:
    mac = context.device.mac
    if request.cid in context.answered:
        return False  # its repeated answer could not be told from the answer to this
    if mac is None:
        return True
    refusal = mac.refusal_of(request)
    if refusal is not None and refusal.holds(context.now.mono_us):
        return False
    return mac.is_due(request.cid, context.gathered.f_cnt, context.now.mono_us)


def _first(requests: Sequence[Command], context: MacContext) -> Block:
    """As many from the front as go into one frame together."""
    taken: list[Command] = []
    room = MAX_BLOCK if context.device.queue else MAX_BLOCK_ALONE
    for request in requests:
        room -= len(request.encode())
        if room < 0 and taken:
            break
        taken.append(request)
    return tuple(taken)


# ----------------------------------------------------------------------------------------------------------- answers


def take(setting: Setting, answers: Sequence[Any], context: MacContext) -> None:
    """The answers of one command in one uplink, matched to the requests under way in their order."""
    session, mac = context.session, context.mac
    cid = setting.answer.cid
    context.answered.add(cid)  # type: ignore[arg-type]
    if setting.sticky and version_of(session) in STICKY:
        _let_go(context)
    radio = session.radio
    asked = [command for command in under_way(radio.asked) if isinstance(command, setting.request)]
    if not asked:
        context.state.counters["unasked_mac_answers"] += 1
        return
    for request, answer in zip(asked, answers, strict=False):
        refused = _refused_parts(answer)
        if refused:
            radio = setting.partly(radio, request, answer)
            note_refusal(request, refused, context)
        else:
            radio = setting.applied(radio, request, context.state.plan)
            mac.accepted(request)
    rest = asked[len(answers) :]  # answers that found no room in the uplink: their requests count as unanswered
    if not rest:
        mac.answered(cid)  # type: ignore[arg-type]
    context.set_radio(radio._replace(asked=without(radio.asked, {cid}) + encode_commands(rest)))  # type: ignore[arg-type]


def _refused_parts(answer: Any) -> tuple[str, ...]:
    if isinstance(answer, StatusAnswer):
        return answer.refused
    return ("time",) if getattr(answer, "time_ok", True) is False else ()


def _let_go(context: MacContext) -> None:
    """The device repeats this answer until it hears any downlink of class A."""
    mac = context.mac
    context.repeats = True
    mac.sticky += 1
    if mac.sticky <= STICKY_AT_ONCE or mac.sticky % 4 == 0:
        context.must_answer = True


def note_refusal(request: Command, parts: Sequence[str], context: MacContext) -> Refusal:
    """Count a refusal; after some in a row the device is left in peace for a while. Its owner is told."""
    refusal = context.mac.refused(request)
    refusal.count += 1
    refusal.parts = tuple(parts)
    end = ""
    if refusal.count >= MAX_REFUSALS:
        refusal.until_us, refusal.until_mono_us = context.now.wall_us + PEACE_US, context.now.mono_us + PEACE_US
        end = f"; after {refusal.count} refusals it is not asked again for {PEACE_US // 86_400_000_000} days"
    events.emit_log(
        context.state, context.device, context.gathered.wall_us, "WARNING", "MAC_REFUSED",
        f"the device refused {', '.join(part.replace('_', ' ') for part in parts)} of {describe(request)}{end}",
    )  # fmt: skip
    return refusal
