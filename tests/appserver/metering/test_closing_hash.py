"""MET-04: what was frozen at a closing cannot be changed in the file without a trace."""

from __future__ import annotations

import pytest

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.metering.frozen import part_of, summary_of
from appserver.metering.seals import verify_file
from tests.appserver.metering.test_closed_periods import NOVEMBER, OCTOBER, close, db, house  # noqa: F401
from tests.support.house import House


def test_met_04_a_changed_result_is_found(db: Database, house: House) -> None:  # noqa: F811
    id_ = close(db, house, OCTOBER, NOVEMBER)
    assert part_of(db, id_, "summary") is not None
    db.connection.execute("DROP TRIGGER period_result_no_update")
    db.connection.execute("UPDATE period_result SET content = x'00' WHERE part = 'summary'")
    with pytest.raises(RegistryError, match="changed in the file"):
        summary_of(db, id_)
    verdict = verify_file(db.path)
    assert verdict is not None and [fault.what for fault in verdict.faults] == [
        f"part 'summary' of closing {id_} was changed"
    ]
