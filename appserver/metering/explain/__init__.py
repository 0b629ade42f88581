"""FR-12: why the common meter and the flats differ, in units of the resource by cause, with the evidence.

``model`` has the values, ``causes`` puts them together; ``filled`` completes days, ``steps`` finds where means change,
``night`` reads leaks out of the night's flow, ``suspects`` finds whose fall explains a rise, ``clocks`` what wrong clocks did;
``course`` shows how the imbalance became what it is, from values as they were ``received``; ``queries`` reads it all from
application.db.
"""

from appserver.metering.explain.causes import explain
from appserver.metering.explain.model import CAUSES, STAGES, CauseRow, Evidence, Explanation, Stage
from appserver.metering.explain.queries import explain_balance, norm_a_person, norm_rule

__all__ = [
    "CAUSES",
    "STAGES",
    "CauseRow",
    "Evidence",
    "Explanation",
    "Stage",
    "explain",
    "explain_balance",
    "norm_a_person",
    "norm_rule",
]
