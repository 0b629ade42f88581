"""ADR decisions of a public network server (rows of wire_codec.json), taken by our recommended algorithm."""

from __future__ import annotations

import pytest

from lns.adr import Sample
from lns.adr.interface import HISTORY, Current, Limits
from lns.adr.recommended import STEP_DB, nb_trans_for, recommended
from tests.support.vectors import Row, load, params

CODEC: dict[str, list[Row]] = load("wire_codec.json")["codec"]


@pytest.mark.parametrize("row", params(CODEC["adr_steps"], "what"))
def test_steps(row: Row) -> None:
    limits = Limits(row["max_dr"], row["max_tx_power_index"], required_snr_db=-12.5, margin_db=10)
    snr_db = limits.required_snr_db + limits.margin_db + STEP_DB * row["n_step"]
    samples = [Sample(f_cnt, snr_db) for f_cnt in range(HISTORY)]
    decision = recommended(samples, Current(row["dr"], row["tx_power_index"], 1), limits)
    assert (decision.dr, decision.tx_power) == (row["expected_dr"], row["expected_tx_power_index"])
    assert decision.nb_trans == 1


@pytest.mark.parametrize("row", params(CODEC["adr_nbtrans"], "packet_loss_percent"))
def test_nb_trans(row: Row) -> None:
    assert nb_trans_for(row["packet_loss_percent"] / 100, row["current"]) == row["expected"]


@pytest.mark.parametrize("row", params(CODEC["adr_nbtrans"][:1], "source"))
def test_the_whole_nb_trans_table(row: Row) -> None:
    just_below = {"<5": 0.0499, "<10": 0.0999, "<30": 0.2999, ">=30": 0.30}
    for column, loss in just_below.items():
        assert [nb_trans_for(loss, present) for present in (1, 2, 3)] == row["table"][column]
