"""Words of the database in words of people."""

from __future__ import annotations

from appserver.web.i18n import N_, gettext

ROLES = {
    "viewer": N_("Viewer"),
    "dispatcher": N_("Dispatcher"),
    "engineer": N_("Engineer"),
    "admin": N_("Administrator"),
}
RESOURCES = {
    "cold_water": N_("Cold water"),
    "hot_water": N_("Hot water"),
    "electricity": N_("Electricity"),
    "heat": N_("Heat"),
    "gas": N_("Gas"),
}
POINT_ROLES = {"individual": N_("Flat meter"), "house": N_("Common meter"), "node": N_("Network node")}
PREMISES = {"flat": N_("Flat"), "nonresidential": N_("Non-residential"), "common": N_("Common room")}
QUALITIES = {
    "archive": N_("from the archive"),
    "measured": N_("measured"),
    "manual": N_("entered by hand"),
    "import": N_("imported"),
    "server_time": N_("server's time"),
    "interpolated": N_("interpolated"),
    "missing": N_("missing"),
    "disputed": N_("disputed"),
}
FRAME_TYPES = {
    "up": N_("Uplink"),
    "down": N_("Downlink"),
    "join_request": N_("Join request"),
    "join_accept": N_("Join accept"),
    "rejoin_request": N_("Rejoin request"),
}
QUEUE_STATES = {
    "queued": N_("queued"),
    "scheduled": N_("scheduled"),
    "sent": N_("sent"),
    "unknown": N_("unknown"),
    "acked": N_("acknowledged"),
    "nacked": N_("not acknowledged"),
    "failed": N_("failed"),
    "expired": N_("expired"),
    "cancelled": N_("cancelled"),
}
OUTCOMES = {
    "accepted": N_("accepted"),
    "handed_over": N_("handed over"),
    "scheduled": N_("scheduled"),
    "sent": N_("sent"),
    "failed": N_("failed"),
    "unknown": N_("unknown"),
    "refused": N_("refused"),
}
JOB_STATES = {"queued": N_("waiting"), "running": N_("running"), "done": N_("done"), "failed": N_("failed")}

TABLES = {
    "role": ROLES,
    "resource": RESOURCES,
    "point_role": POINT_ROLES,
    "premises": PREMISES,
    "quality": QUALITIES,
    "frame_type": FRAME_TYPES,
    "queue_state": QUEUE_STATES,
    "job_state": JOB_STATES,
}


def word(table: str, key: str) -> str:
    """What ``key`` is called; the key itself when the table does not know it."""
    known = TABLES[table].get(key)
    return gettext(known) if known else key


def outcome(text: str) -> str:
    """A frame's outcome: its first word translated, the reason behind the colon as it came."""
    head, colon, reason = text.partition(":")
    known = OUTCOMES.get(head)
    return (gettext(known) if known else head) + colon + reason
