"""Hypothesis strategies for everything that travels: identifiers, frames, MAC commands."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from hypothesis import strategies as st

from lorawan.commands import COMMANDS, Command, FilterListReq
from lorawan.frames import (
    DataFrame,
    EncryptedJoinAccept,
    JoinAccept,
    JoinRequest,
    Proprietary,
    RejoinRequest0_2,
    RejoinRequest1,
)
from lorawan.identifiers import EUI64, DevAddr, NetID

keys = st.binary(min_size=16, max_size=16)
mics = st.binary(min_size=4, max_size=4)
euis = st.integers(0, 2**64 - 1).map(EUI64)
dev_addrs = st.integers(0, 2**32 - 1).map(DevAddr)
net_ids = st.integers(0, 2**24 - 1).map(NetID)
counters_16 = st.integers(0, 0xFFFF)
counters_32 = st.integers(0, 0xFFFFFFFF)


@st.composite
def data_frames(draw: st.DrawFn, uplink: bool | None = None) -> DataFrame:
    up = draw(st.booleans()) if uplink is None else uplink
    f_port = draw(st.none() | st.integers(0, 255))
    f_opts = b"" if f_port == 0 else draw(st.binary(max_size=15))
    room = 255 - 4 - 8 - len(f_opts) - 1
    return DataFrame(
        uplink=up,
        confirmed=draw(st.booleans()),
        dev_addr=draw(dev_addrs),
        adr=draw(st.booleans()),
        adr_ack_req=up and draw(st.booleans()),
        ack=draw(st.booleans()),
        f_pending=not up and draw(st.booleans()),
        class_b=up and draw(st.booleans()),
        f_cnt=draw(counters_16),
        f_opts=f_opts,
        f_port=f_port,
        frm_payload=b"" if f_port is None else draw(st.binary(max_size=room)),
        mic=draw(mics),
    )


join_requests = st.builds(JoinRequest, euis, euis, counters_16, mics)
join_accepts = st.builds(
    JoinAccept,
    join_nonce=st.integers(0, 2**24 - 1),
    net_id=net_ids,
    dev_addr=dev_addrs,
    opt_neg=st.booleans(),
    rx1_dr_offset=st.integers(0, 7),
    rx2_dr=st.integers(0, 15),
    rx_delay=st.integers(0, 15),
    cflist=st.just(b"") | st.binary(min_size=16, max_size=16),
)
frames = st.one_of(
    data_frames(),
    join_requests,
    st.builds(EncryptedJoinAccept, st.binary(min_size=16, max_size=16) | st.binary(min_size=32, max_size=32)),
    st.builds(RejoinRequest0_2, st.sampled_from((0, 2)), net_ids, euis, counters_16, mics),
    st.builds(RejoinRequest1, euis, euis, counters_16, mics),
    st.builds(Proprietary, st.binary(max_size=254), st.integers(0xE0, 0xFF)),
)


def field_values(kind: type[Command], name: str) -> st.SearchStrategy[Any]:
    """Everything that a field of a command can hold, drawn as bits and read by the layout's own type."""
    field = next(f for f in kind.layout.fields if f.name == name)
    return st.integers(0, 2**field.bits - 1).map(field.decode)


@st.composite
def commands_of(draw: st.DrawFn, kind: type[Command]) -> Command:
    if kind is FilterListReq:
        return FilterListReq(draw(st.integers(0, 15)), draw(st.integers(0, 3)), draw(st.binary(max_size=16)))
    return kind(**{f.name: draw(field_values(kind, f.name)) for f in fields(kind)})  # type: ignore[arg-type]


def classes(uplink: bool, lorawan_1_1: bool = True) -> list[type[Command]]:
    """The commands of one direction."""
    found = (row.uplink if uplink else row.downlink for row in COMMANDS if lorawan_1_1 or not row.only_1_1)
    return [kind for kind in found if kind]


def command_blocks(uplink: bool, lorawan_1_1: bool = True) -> st.SearchStrategy[list[Command]]:
    return st.lists(st.sampled_from(classes(uplink, lorawan_1_1)).flatmap(commands_of), max_size=8)
