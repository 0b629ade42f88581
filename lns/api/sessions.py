"""Sessions."""

from __future__ import annotations

from internalapi import messages as m
from lns.api import adr, parse
from lns.api.class_b import class_b_of, listens_as
from lns.api.devices import known
from lns.api.errors import Refused, invalid, not_found
from lns.clock import system_now
from lns.lifecycle import end_session, open_session
from lns.mac import force_rejoin
from lns.mac.desired import after_join
from lns.mac.report import report
from lns.network import Network
from lns.radio import at_boot
from lorawan.counters import LATE_WINDOW
from lorawan.crypto import KeyEnvelope, SessionKeys

MAX_COUNTER = 1 << 32
ALL_SEEN = (1 << LATE_WINDOW + 1) - 1


async def session(network: Network, request: m.Key) -> m.SessionRecord:
    device = known(network, request.key)
    session = device.session or device.pending
    if session is None:
        raise not_found("session of device", request.key)
    plan = network.state.plan
    channels = [channel.frequency_hz for channel in plan.default_channels]
    return m.SessionRecord(
        dev_eui=device.dev_eui_text,
        dev_addr=f"{session.dev_addr:08x}",
        mac_version="1.1" if session.lorawan_1_1 else "1.0",
        activated_at_us=session.activated_at_us,
        confirmed_by_uplink=session.confirmed,
        f_cnt_up=session.f_cnt_up - 1 if session.f_cnt_up else None,
        f_cnt_down=session.n_f_cnt_down,
        a_f_cnt_down=session.a_f_cnt_down,
        rx1_delay_s=session.radio.rx1_delay_s,
        rx1_dr_offset=session.radio.rx1_dr_offset,
        rx2_dr=session.radio.rx2_dr,
        rx2_frequency_hz=session.radio.rx2_frequency_hz,
        channels_hz=channels + [hz for hz in session.radio.channels_hz if hz],
        dr=session.dr,
        tx_power_index=session.tx_power,
        nb_trans=session.nb_trans,
        adr_reason=adr.words(session),
        adr=await adr.state_of(network, session),
        device_class=listens_as(session),
        class_b=class_b_of(network.state, session, system_now()),
        mac=report(network.state, session),
    )


async def session_put(network: Network, request: m.SessionWrite) -> m.Ok:
    """Set a session from outside: an ABP device, or one taken over from another server.

    With the address and a key of the session before, FCntDown goes on at least from where that was.
    """
    device = known(network, request.dev_eui)
    state = network.state
    dev_addr = parse.dev_addr(request.dev_addr)
    app_s_key, envelope = _app_s_key(request)
    if device.profile.lorawan_1_1 and not request.nwk_s_key:
        keys = SessionKeys(
            parse.key(request.f_nwk_s_int_key, "f_nwk_s_int_key"),
            parse.key(request.s_nwk_s_int_key, "s_nwk_s_int_key"),
            parse.key(request.nwk_s_enc_key, "nwk_s_enc_key"),
            app_s_key,
            lorawan_1_1=True,
            app_s_key_envelope=envelope,
        )
    else:
        nwk_s_key = parse.key(request.nwk_s_key, "nwk_s_key")
        keys = SessionKeys(nwk_s_key, nwk_s_key, nwk_s_key, app_s_key, app_s_key_envelope=envelope)
    for name in ("f_cnt_up", "f_cnt_down", "a_f_cnt_down"):
        if not 0 <= getattr(request, name) <= MAX_COUNTER:
            raise invalid(f"{name}: the next value of a 32-bit counter", name)
    plan = state.plan
    # An ABP device knows what it was made with; one that has joined elsewhere is taken to know what ours would.
    radio = at_boot(plan) if device.activation == "ABP" else after_join(state, device, plan.rx2_frequency_hz)
    n_f_cnt_down, a_f_cnt_down = request.f_cnt_down, request.a_f_cnt_down
    for session in device.sessions:
        if session.dev_addr == dev_addr and keys.shares_any(
            state.keys.unseal(session.sealed_keys, session.lorawan_1_1)
        ):
            # The same session written again: a downlink counter that was used is never used again (INV-01).
            n_f_cnt_down = max(n_f_cnt_down, session.n_f_cnt_down)
            a_f_cnt_down = max(a_f_cnt_down, session.a_f_cnt_down)
        end_session(state, session)
    fresh = open_session(state, device, dev_addr, keys, radio, system_now().wall_us)
    fresh.f_cnt_up, fresh.n_f_cnt_down, fresh.a_f_cnt_down = request.f_cnt_up, n_f_cnt_down, a_f_cnt_down
    # What was counted elsewhere may have been heard there: none of it is late data here.
    fresh.window = ALL_SEEN >> max(0, LATE_WINDOW + 1 - fresh.f_cnt_up)
    fresh.confirmed = True
    device.session, device.pending, device.mac = fresh, None, None
    await network.durable()
    return m.Ok()


def _app_s_key(request: m.SessionWrite) -> tuple[bytes, KeyEnvelope | None]:
    """The AppSKey, or the envelope that stands for it."""
    told = request.app_s_key_envelope
    if told is None:
        return parse.key(request.app_s_key, "app_s_key"), None
    if request.app_s_key:
        raise invalid("app_s_key_envelope: give either the key or its envelope", "app_s_key_envelope")
    try:
        wrapped = bytes.fromhex(told.aes_key)
    except ValueError:
        wrapped = b""
    if not 24 <= len(wrapped) <= 64 or not 1 <= len(told.kek_label.encode()) <= 64:
        raise invalid(
            "app_s_key_envelope: a label of 1 to 64 bytes and a wrapped key of 24 to 64 bytes in hex",
            "app_s_key_envelope",
        )
    return b"", KeyEnvelope(told.kek_label, wrapped)


async def rejoin(network: Network, request: m.RejoinWish) -> m.Ok:
    """Have a 1.1 device send a rejoin-request."""
    device = known(network, request.dev_eui)
    session = device.session
    if session is None or not session.lorawan_1_1:
        raise Refused(
            "conflict", f"{request.dev_eui} has no LoRaWAN 1.1 session: only such devices can be told to rejoin"
        )
    if device.activation != "OTAA":
        raise Refused("conflict", f"{request.dev_eui} is an ABP device: it cannot join")
    if request.rejoin_type not in (0, 2):
        raise invalid("rejoin_type: 0 (new session) or 2 (new keys only)", "rejoin_type")
    dr = (session.dr or 0) if request.dr is None else request.dr
    if not network.state.plan.max_payload(dr):
        raise invalid(f"dr: {dr} is no uplink data rate of {network.state.plan.name}", "dr")
    force_rejoin.wish(network.state, session, request.rejoin_type, dr)
    await network.durable()
    return m.Ok()


async def session_delete(network: Network, request: m.Key) -> m.Ok:
    device = known(network, request.key)
    for session in device.sessions:
        end_session(network.state, session)
    await network.durable()
    return m.Ok()
