"""Events for other programs: one outbox, many sinks.

The ingest renders each event once (``chirpstack``) and puts it into the outbox in the transaction that took it
(``outbox``); ``delivery`` carries it to every sink at least once, in the order of each device, and keeps what a sink
does not take as a dead letter. ``addresses`` decides which addresses may be called at all.
"""

from appserver.integrations.delivery import deliver
from appserver.integrations.sinks import (
    DeadLetter,
    create_sink,
    dead_letters,
    delete_sink,
    pending_count,
    replay,
    retry,
    sinks,
    update_sink,
)

__all__ = [
    "DeadLetter",
    "create_sink",
    "dead_letters",
    "delete_sink",
    "deliver",
    "pending_count",
    "replay",
    "retry",
    "sinks",
    "update_sink",
]
