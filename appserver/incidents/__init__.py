"""Incidents (нештатные ситуации, НС): what is wrong with a meter, its data or the network, since when, and who knows.

``kinds`` is the table of them, ``facts`` the plain values that ``detectors`` and ``flows`` look at, ``gather`` reads those
values out of application.db, ``store`` keeps incidents with their acknowledgement and comments, ``runner`` does a round
of it, ``notices`` tells people. A round may be repeated: the same facts give the same incidents.
"""

from appserver.incidents.kinds import KINDS, LAYERS, SEVERITIES, Kind
from appserver.incidents.store import (
    Filter,
    IncidentRow,
    acknowledge,
    comment,
    counts,
    get_incident,
    incidents,
)

__all__ = [
    "KINDS",
    "LAYERS",
    "SEVERITIES",
    "Filter",
    "IncidentRow",
    "Kind",
    "acknowledge",
    "comment",
    "counts",
    "get_incident",
    "incidents",
]
