"""Words of the database in words of people."""

from __future__ import annotations

from appserver.web.i18n import N_, gettext

ROLES = {
    "member": N_("By grants"),
    "viewer": N_("Viewer"),
    "dispatcher": N_("Dispatcher"),
    "engineer": N_("Engineer"),
    "admin": N_("Administrator"),
}
PARTIES = {
    "management_company": N_("Management company"),
    "resource_supplier": N_("Resource supplier"),
    "homeowners": N_("Homeowners, council of the house"),
    "resident": N_("Resident"),
    "developer": N_("Developer"),
    "service": N_("Service organisation"),
    "verifier": N_("Verifier"),
    "auditor": N_("Auditor"),
}
OPERATIONS = {
    "meters": N_("houses, flats, meters and their papers"),
    "read": N_("readings and balances"),
    "personal": N_("accounts (personal data)"),
    "report": N_("statements and registers"),
    "enter": N_("entering readings"),
    "incidents": N_("incidents"),
    "registry": N_("changes in the registry"),
    "verify": N_("verifications"),
    "radio": N_("radio modules"),
    "tickets": N_("requests of residents"),
    "audit": N_("audit record"),
    "cabinet": N_("own flat"),
}
TICKET_KINDS = {
    "question": N_("Question"),
    "fault": N_("Fault"),
    "charge": N_("Charge"),
    "verification": N_("Verification of a meter"),
    "other": N_("Something else"),
}
TICKET_STATES = {
    "new": N_("not read yet"),
    "in_work": N_("in work"),
    "done": N_("settled"),
    "rejected": N_("rejected"),
}
GIS_STATES = {"sent": N_("sent, no answer yet"), "accepted": N_("accepted"), "refused": N_("refused")}
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
    "archive": N_("archive"),
    "measured": N_("measured"),
    "manual": N_("entered by hand"),
    "import": N_("imported"),
    "server_time": N_("server's time"),
    "interpolated": N_("interpolated"),
    "missing": N_("missing"),
    "disputed": N_("disputed"),
    "partial": N_("in part"),
    "corrected": N_("corrected"),
}
NODE_KINDS = {"source": N_("source"), "trunk": N_("trunk"), "section": N_("section"), "house": N_("house")}
KINDS = {
    "organisation": N_("Organisations"),
    "building": N_("Houses"),
    "premises": N_("Premises"),
    "point": N_("Metering points"),
    "meter": N_("Meters"),
    "installation": N_("Installations"),
    "module_channel": N_("Channels of radio modules"),
    "device": N_("Devices"),
}
SOURCES = {
    "lorawan": N_("radio"),
    "gprs": N_("GPRS"),
    "manual": N_("by hand"),
    "import": N_("import"),
    "gis": N_("ГИС ЖКХ"),
}
REGISTERS = {
    "volume": N_("Volume"),
    "volume_reverse": N_("Reverse volume"),
    "energy": N_("Energy"),
    "heat": N_("Heat energy"),
}
EVENTS = {
    "replaced": N_("meter replaced"),
    "installed": N_("installed"),
    "rollover": N_("rollover"),
    "reset": N_("register reset"),
    "small_decrease": N_("small decrease"),
    "reverse_flow": N_("reverse flow"),
    "implausible": N_("more than can flow"),
    "no_end_value": N_("no value at removal"),
    "no_meter": N_("days without a meter"),
}
SHEETS = {
    "organisations": N_("Organisations"),
    "buildings": N_("Houses"),
    "entrances": N_("Entrances"),
    "premises": N_("Premises"),
    "accounts": N_("Accounts"),
    "points": N_("Metering points"),
    "meters": N_("Meters"),
    "verifications": N_("Verifications"),
    "seals": N_("Seals"),
    "installations": N_("Installations"),
    "channels": N_("Channels of radio modules"),
}
SILENCE = {
    "not_registered": N_("not among the network's devices"),
    "disabled": N_("the device is switched off in the network"),
    "not_handed_over": N_("the network hears it, but its readings do not arrive"),
    "new": N_("bound lately, not heard yet"),
    "not_joined": N_("has not joined the network"),
    "gateway": N_("the gateway that heard it is silent"),
    "building": N_("much of the house is silent: look at the gateway or the power"),
    "sends_rarely": N_("sends less often than that"),
    "battery": N_("the battery is flat"),
    "weak_signal": N_("it was at the edge of hearing"),
    "never_heard": N_("it was never heard"),
    "unknown": N_("not seen from here: look on the spot"),
}
FRAME_TYPES = {
    "up": N_("Uplink"),
    "down": N_("Downlink"),
    "join_request": N_("Join request"),
    "join_accept": N_("Join accept"),
    "rejoin_request": N_("Rejoin request"),
    "rejected": N_("Refused"),
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
GPS_STATES = {
    "none": N_("none"),
    "locked": N_("locked"),
    "stale": N_("not told for long"),
    "lost": N_("lost"),
    "wrong": N_("wrong"),
}
MAC_STATES = {
    "in_step": N_("in step"),
    "waiting": N_("waits for the answer"),
    "to_ask": N_("has something to ask"),
    "refused": N_("the device refused"),
}
TX_OUTCOMES = {
    "NONE": N_("sent"),
    "SILENT": N_("no answer: it may have been sent"),
    "TOO_LATE": N_("came too late"),
    "TOO_EARLY": N_("came too early, or the gateway has restarted"),
    "COLLISION_PACKET": N_("another frame was in the way, or the queue was full"),
    "COLLISION_BEACON": N_("a beacon was in the way"),
    "TX_FREQ": N_("the gateway does not send on this frequency"),
    "TX_POWER": N_("the gateway does not send with this power"),
    "GPS_UNLOCKED": N_("the gateway has no GPS time"),
    "QUEUE_FULL": N_("the gateway's queue was full"),
    "DUTY_CYCLE_OVERFLOW": N_("the gateway's own limit of airtime"),
    "INTERNAL_ERROR": N_("a fault of the gateway"),
    "UNKNOWN": N_("refused without a reason"),
    "UNREADABLE": N_("its answer could not be read"),
}
FORWARDERS = {
    "": N_("not known yet"),
    "legacy": N_("first generation (SX1301)"),
    "hal": N_("second generation (SX1302)"),
}
JOB_STATES = {"queued": N_("waiting"), "running": N_("running"), "done": N_("done"), "failed": N_("failed")}

ARCHIVE_QUERIES = {
    "planned": N_("to be asked"),
    "queued": N_("asked"),
    "answered": N_("answered"),
    "no_record": N_("no such record"),
    "failed": N_("failed"),
    "expired": N_("no answer"),
}

ARCHIVE_KINDS = {
    "hour_interval": N_("by hour"),
    "day_interval": N_("by day"),
    "month_interval": N_("by month"),
    "hour_integral": N_("totals by hour"),
    "day_integral": N_("totals by day"),
    "month_integral": N_("totals by month"),
    "minute_interval": N_("by half-hour"),
}
CIRCUITS = {
    "heat1": N_("first circuit"),
    "heat2": N_("second circuit"),
    "water": N_("cold water of the calculator"),
    "compact": N_("flat meter"),
    "electricity": N_("electricity meter"),
}
HEAT_FIELDS = {
    "T1_c": N_("t1, °C"),
    "T2_c": N_("t2, °C"),
    "P1_mpa": N_("P1, MPa"),
    "P2_mpa": N_("P2, MPa"),
    "m1_t": N_("M1, t"),
    "m2_t": N_("M2, t"),
    "V1_m3": N_("V1, m³"),
    "V2_m3": N_("V2, m³"),
    "Q1_gcal": N_("Q1, Gcal"),
    "dQ_gcal": N_("Q, Gcal"),
    "E_kwh": N_("E, kWh"),
    "tA_h": N_("worked, h"),
}

RULE_KINDS = {
    "substitution": N_("Substitution of missing readings"),
    "verification": N_("Readings after the end of the verification"),
    "norm": N_("Norms of consumption"),
    "common_norm": N_("Norms of common needs"),
    "tariff_zones": N_("Tariff zones of the day"),
    "heat_quality": N_("Quality of heat supply"),
    "temperature_graph": N_("Temperature graph"),
    "heat_substitution": N_("Heat while the meter does not work"),
    "heat_contract": N_("Contract of heat supply"),
    "outdoor_sensor": N_("Sensor of the outdoor temperature"),
    "weather_control": N_("Controller that follows the weather"),
    "incident_limits": N_("Limits of incidents"),
    "backfill": N_("Queries for missing values"),
    "clock_correction": N_("Correction of device clocks"),
}
RULE_ORIGINS = {
    "package": N_("of the program"),
    "folder": N_("of the folder rules"),
    "entered": N_("entered"),
}
CODEC_KINDS = {
    "built_in": N_("of the program"),
    "layout": N_("layout"),
    "script": N_("script"),
    "broken": N_("has faults"),
}
ADR_CHOICES = {
    "default": N_("by its links"),
    "recommended": N_("as the specification recommends"),
    "static": N_("fixed"),
    "off": N_("off"),
}
IMPORT_STATES = {
    "new": N_("new"),
    "changed": N_("changed"),
    "unchanged": N_("as it was"),
    "refused": N_("refused"),
}
CHANNELS = {"email": N_("by mail"), "telegram": N_("by a webhook"), "page": N_("on the pages")}
BASES = {
    "measured": N_("by reading"),
    "average": N_("mean of %(n)s months"),
    "normative": N_("norm"),
    "tampered": N_("interference"),
    "unknown": N_("nothing known"),
}

CLOCK_STATES = {
    "planned": N_("planned"),
    "queued": N_("queued"),
    "corrected": N_("corrected"),
    "unchanged": N_("without effect"),
    "failed": N_("failed"),
    "expired": N_("expired"),
}
TABLES = {
    "clock_state": CLOCK_STATES,
    "rule_kind": RULE_KINDS,
    "rule_origin": RULE_ORIGINS,
    "codec_kind": CODEC_KINDS,
    "notice_channel": CHANNELS,
    "adr_choice": ADR_CHOICES,
    "import_state": IMPORT_STATES,
    "archive_kind": ARCHIVE_KINDS,
    "circuit": CIRCUITS,
    "heat_field": HEAT_FIELDS,
    "archive_query": ARCHIVE_QUERIES,
    "role": ROLES,
    "party": PARTIES,
    "gis_state": GIS_STATES,
    "ticket_kind": TICKET_KINDS,
    "ticket_state": TICKET_STATES,
    "operation": OPERATIONS,
    "resource": RESOURCES,
    "point_role": POINT_ROLES,
    "node_kind": NODE_KINDS,
    "premises": PREMISES,
    "quality": QUALITIES,
    "event": EVENTS,
    "silence": SILENCE,
    "sheet": SHEETS,
    "kind": KINDS,
    "source": SOURCES,
    "register": REGISTERS,
    "frame_type": FRAME_TYPES,
    "queue_state": QUEUE_STATES,
    "mac_state": MAC_STATES,
    "job_state": JOB_STATES,
    "gps_state": GPS_STATES,
    "tx_outcome": TX_OUTCOMES,
    "forwarder": FORWARDERS,
}


def word(table: str, key: str) -> str:
    """What ``key`` is called; the key itself when the table does not know it."""
    known = TABLES[table].get(key)
    return gettext(known) if known else key


def basis(text: str) -> str:
    """What a charge rests on: ``average_6m`` is the mean of six months."""
    name, _, months = text.partition("_")
    known = BASES.get(name)
    return gettext(known) % {"n": months.removesuffix("m")} if known else text


def outcome(text: str) -> str:
    """A frame's outcome: its first word translated, the reason behind the colon as it came."""
    head, colon, reason = text.partition(":")
    known = OUTCOMES.get(head)
    return (gettext(known) if known else head) + colon + reason
