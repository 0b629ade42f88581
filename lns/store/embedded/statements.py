"""Every statement that the journal runs, by the engine's name for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Any

from lns.store.batch import EVENT_COLUMNS, FRAME_COLUMNS

SESSION_COLUMNS = (
    "confirmed",
    "f_cnt_up",
    "replay_window",
    "last_mic",
    "last_frame_id",
    "n_f_cnt_down",
    "a_f_cnt_down",
    "conf_f_cnt_down",
    "radio",
    "dr",
    "tx_power",
    "nb_trans",
    "adr",
    "adr_reason",
    "last_seen_us",
    "rssi_dbm",
    "snr_db",
    "gateways",
    "id",
)
"""What of a session changes, and last its number."""


class ManyRows:
    """One statement for many rows: ``{rows}`` in its template stands for the rows of parameters.

    A thread that writes row by row gives up the interpreter's lock at every row and waits for it again, which on a busy
    process is longer than the row; a statement of sixty-four rows gives it up once.
    """

    SIZES = (64, 16, 4, 1)

    def __init__(self, template: str, columns: int) -> None:
        row = f"({', '.join('?' * columns)})"
        self._texts = [(size, template.replace("{rows}", ", ".join([row] * size))) for size in self.SIZES]

    def run(self, db: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> int:
        """Run it over all rows. Returns how many rows of the table changed."""
        at = changed = 0
        for size, text in self._texts:
            while len(rows) - at >= size:
                parameters = list(chain.from_iterable(rows[at : at + size])) if size > 1 else rows[at]
                changed += db.execute(text, parameters).rowcount
                at += size
        return changed


def _given(name: str) -> str:
    """A session's new value in a row of the update."""
    return f"v.column{SESSION_COLUMNS.index(name) + 1}"


INSERT_FRAMES = ManyRows(f"INSERT INTO frame ({', '.join(FRAME_COLUMNS)}) VALUES {{rows}}", len(FRAME_COLUMNS))
INSERT_EVENTS = ManyRows(f"INSERT INTO event ({', '.join(EVENT_COLUMNS)}) VALUES {{rows}}", len(EVENT_COLUMNS))
# The guard is the compare-and-set: a counter never goes back, whatever the memory believes.
UPDATE_SESSIONS = ManyRows(
    f"UPDATE session SET {', '.join(f'{name} = {_given(name)}' for name in SESSION_COLUMNS[:-1])}"
    f" FROM (VALUES {{rows}}) AS v WHERE session.id = {_given('id')}"
    + "".join(f" AND session.{name} <= {_given(name)}" for name in ("f_cnt_up", "n_f_cnt_down", "a_f_cnt_down")),
    len(SESSION_COLUMNS),
)

SET_MARK = "INSERT INTO mark (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
RESTORES = "restores"
"""Mark: the number of the last restore that this file has skipped ahead for."""
MARKS = ("last_frame_id", "last_event_id", "last_session_id", "handed_over_id")

OPERATIONS: dict[str, str] = {
    "set_mark": SET_MARK,
    "session_add": "INSERT INTO session (id, device_id, dev_addr, lorawan_1_1, sealed_keys, activated_at_us)"
    " VALUES (?, ?, ?, ?, ?, ?)",
    "session_f_cnt_reset": "UPDATE session SET f_cnt_up = 0, replay_window = x'' WHERE id = ?",
    "f_cnt_reset_put": "INSERT INTO f_cnt_reset (session_id, before) VALUES (?, ?) ON CONFLICT (session_id)"
    " DO UPDATE SET before = excluded.before",
    "taken_mic_add": "INSERT OR IGNORE INTO taken_mic (session_id, mic) VALUES (?, ?)",
    "taken_mics_delete": "DELETE FROM taken_mic WHERE session_id = ?",
    "f_cnt_reset_delete": "DELETE FROM f_cnt_reset WHERE session_id = ?",
    "session_end": "UPDATE session SET ended = 1 WHERE id = ?",
    "frame_outcome": "UPDATE frame SET outcome = ?, gateway = ?, frequency_hz = ?, datr = ?, detail = ? WHERE id = ?",
    "item_add": "INSERT INTO queue_item (seq, id, dev_eui, f_port, data, confirmed, state, reason, created_at_us,"
    " expires_at_us, idempotency_key, attempts, at_most_once, encrypted_f_cnt)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "item_state": "UPDATE queue_item SET state = ?, reason = ?, f_cnt_down = ?, session_id = ?, attempts_made = ?,"
    " not_before_us = ? WHERE id = ?",
    "group_put": "INSERT INTO multicast_group (id, name, mc_addr, sealed_keys, device_class, dr, frequency_hz,"
    " ping_periodicity, f_cnt_down, gateways, created_at_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET name = excluded.name, mc_addr = excluded.mc_addr,"
    " sealed_keys = excluded.sealed_keys, device_class = excluded.device_class, dr = excluded.dr,"
    " frequency_hz = excluded.frequency_hz, ping_periodicity = excluded.ping_periodicity,"
    " f_cnt_down = excluded.f_cnt_down, gateways = excluded.gateways",
    "group_counter": "UPDATE multicast_group SET f_cnt_down = ? WHERE id = ?",
    "group_delete": "DELETE FROM multicast_group WHERE id = ?",
    "group_members_delete": "DELETE FROM multicast_member WHERE group_id = ?",
    "group_items_delete": "DELETE FROM multicast_item WHERE group_id = ?",
    "member_add": "INSERT INTO multicast_member (group_id, dev_eui) VALUES (?, ?) ON CONFLICT DO NOTHING",
    "member_delete": "DELETE FROM multicast_member WHERE group_id = ? AND dev_eui = ?",
    "memberships_delete": "DELETE FROM multicast_member WHERE dev_eui = ?",
    "group_item_add": "INSERT INTO multicast_item (seq, id, group_id, f_port, data, state, reason, created_at_us,"
    " expires_at_us, idempotency_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "group_item_state": "UPDATE multicast_item SET state = ?, reason = ?, f_cnt_down = ? WHERE id = ?",
    "listener_put": "INSERT INTO listener (device_id, gateways) VALUES (?, ?)"
    " ON CONFLICT (device_id) DO UPDATE SET gateways = excluded.gateways",
    "listener_delete": "DELETE FROM listener WHERE device_id = ?",
    "device_status": "UPDATE device SET battery = ?, margin_db = ?, status_us = ? WHERE id = ?",
    "device_put": "INSERT INTO device (id, dev_eui, join_eui, name, profile, activation, tags, disabled, created_at_us)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET join_eui = excluded.join_eui,"
    " name = excluded.name, profile = excluded.profile, activation = excluded.activation, tags = excluded.tags,"
    " disabled = excluded.disabled",
    "device_delete": "DELETE FROM device WHERE id = ?",
    "device_queue_delete": "DELETE FROM queue_item WHERE dev_eui = ?",
    "gateway_put": "INSERT INTO gateway (eui, body, created_at_us) VALUES (?, ?, ?)"
    " ON CONFLICT (eui) DO UPDATE SET body = excluded.body",
    "gateway_delete": "DELETE FROM gateway WHERE eui = ?",
    "airtime_put": "INSERT INTO airtime (frame_id, wall_us, mono_us, ways) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (frame_id) DO UPDATE SET wall_us = excluded.wall_us, mono_us = excluded.mono_us, ways = excluded.ways",
    "airtime_drop": "DELETE FROM airtime WHERE frame_id = ?",
    "gateway_hour_add": "INSERT INTO gateway_hour (eui, hour, uplinks, bad_crc, online_s, rtts, rtt_sum_us, ackrs, ackr_sum,"
    " rtt_least_us, rtt_most_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (eui, hour) DO UPDATE SET"
    " uplinks = uplinks + excluded.uplinks, bad_crc = bad_crc + excluded.bad_crc,"
    " online_s = online_s + excluded.online_s, rtts = rtts + excluded.rtts,"
    " rtt_sum_us = rtt_sum_us + excluded.rtt_sum_us, ackrs = ackrs + excluded.ackrs,"
    " ackr_sum = ackr_sum + excluded.ackr_sum,"
    " rtt_least_us = min(coalesce(rtt_least_us, excluded.rtt_least_us), coalesce(excluded.rtt_least_us, rtt_least_us)),"
    " rtt_most_us = max(coalesce(rtt_most_us, excluded.rtt_most_us), coalesce(excluded.rtt_most_us, rtt_most_us))",
    "gateway_part_add": "INSERT INTO gateway_part (eui, hour, part, value) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (eui, hour, part) DO UPDATE SET value = value + excluded.value",
    "gateway_hours_prune": "DELETE FROM gateway_hour WHERE hour < ?",
    "gateway_parts_prune": "DELETE FROM gateway_part WHERE hour < ?",
    "profile_put": "INSERT INTO profile (name, body) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET body = excluded.body",
    "profile_delete": "DELETE FROM profile WHERE name = ?",
    "station_token_add": "INSERT INTO station_token (hash, eui, purpose, sealed, created_at_us) VALUES (?, ?, ?, ?, ?)",
    "station_token_delete": "DELETE FROM station_token WHERE hash = ?",
    "station_tokens_delete": "DELETE FROM station_token WHERE eui = ?",
    "firmware_put": "INSERT INTO firmware (name, body, created_at_us) VALUES (?, ?, ?)"
    " ON CONFLICT (name) DO UPDATE SET body = excluded.body, created_at_us = excluded.created_at_us",
    "firmware_delete": "DELETE FROM firmware WHERE name = ?",
    "adr_decision_add": "INSERT OR REPLACE INTO adr_decision (device_id, time_us, reason) VALUES (?, ?, ?)",
    "adr_decision_trim": "DELETE FROM adr_decision WHERE device_id = ? AND time_us <="
    " (SELECT time_us FROM adr_decision WHERE device_id = ? ORDER BY time_us DESC LIMIT 1 OFFSET ?)",
    "device_adr_delete": "DELETE FROM adr_decision WHERE device_id = ?",
    "audit": "INSERT INTO audit (time_us, who, what) VALUES (?, ?, ?)",
    "frames_packed": "DELETE FROM frame WHERE id <= ?",
    "events_packed": "DELETE FROM event WHERE id <= ?",
    "prune_sessions": "DELETE FROM session WHERE ended = 1 AND last_frame_id <= ?",
}
