"""A network process in memory: the same methods, messages and refusals, without radio."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import msgspec
from msgspec import UNSET

from internalapi import messages as m
from internalapi.client import ApiError, NetworkUnavailable
from tests.support.memory_groups import MemoryGroups

NOW_US = 1_793_000_000_000_000


def refuse(status: int, code: str, detail: str, field: str | None = None) -> ApiError:
    return ApiError(status, m.Problem(code, detail, field))


class MemoryNetwork(MemoryGroups):
    """Stands in for NetworkClient. ``away = True`` makes it silent."""

    def __init__(self, now_us: int = NOW_US) -> None:
        super().__init__()
        self.now_us = now_us
        self.away = False
        self.gateway_table: dict[str, m.GatewayRecord] = {}
        self.gateway_hours: dict[str, list[m.GatewayHour]] = {}
        self.unknown: dict[str, m.UnknownGateway] = {}
        self.device_table: dict[str, m.DeviceRecord] = {}
        self.keys: dict[str, dict[str, str]] = {}
        self.session_table: dict[str, m.SessionRecord] = {}
        self.queue_table: dict[str, list[m.QueueItem]] = {}
        self.idempotent: dict[tuple[str, str], m.QueueItem] = {}
        self.forgotten: list[str] = []
        self.rejoins: list[tuple[str, int, int | None]] = []
        self.frame_list: list[m.FrameRecord] = []
        self.event_list: list[m.Event] = []
        self.storage = "ok"
        self.changed = asyncio.Event()
        self.profile_table: dict[str, m.ProfileRecord] = {}
        for name, codec in (("karat-926lw", "karat"), ("vega-si-11", "vega-si-11")):
            self.profile_table[name] = m.ProfileRecord(name=name, title=name.upper(), codec=codec, built_in=True)

    async def close(self) -> None:
        return None

    def __getattr__(self, name: str) -> Any:
        if name not in m.METHODS:
            raise AttributeError(name)

        async def method(**fields: Any) -> Any:
            return await self.call(name, m.METHODS[name][0](**fields))

        return method

    async def call(self, method: str, request: Any) -> Any:
        if self.away:
            raise NetworkUnavailable("the network process does not answer on /nowhere: refused")
        request_type, result_type = m.METHODS[method]
        request = m.decoder(request_type).decode(m.encode(request))
        result = getattr(self, f"do_{method}")(request)
        if asyncio.iscoroutine(result):
            result = await result
        return m.decoder(result_type).decode(m.encode(result))

    # ------------------------------------------------------------------------------------------------------ gateways

    def do_gateways(self, r: m.ListRequest) -> m.GatewayPage:
        items, cursor = _page(self.gateway_table, r, lambda g: g.name)
        return m.GatewayPage(items, cursor)

    def do_gateway(self, r: m.Key) -> m.GatewayRecord:
        return _find(self.gateway_table, r.key, "gateway")

    def do_gateway_put(self, r: m.GatewayWrite) -> m.PutResult:
        old = self.gateway_table.get(r.gateway_eui)
        self.unknown.pop(r.gateway_eui, None)
        written = msgspec.structs.asdict(r)
        fields = {name: written[name] for name in written if name in m.GatewayRecord.__struct_fields__}
        if old is not None:
            self.gateway_table[r.gateway_eui] = msgspec.structs.replace(old, **fields)
            return m.PutResult(changed=1)
        self.gateway_table[r.gateway_eui] = m.GatewayRecord(
            **fields,
            created_at_us=self.now_us,
            online=False,
            last_seen_us=None,
            address="",
            rtt_ms=None,
            uplinks=0,
            downlinks=0,
            tx_outcomes={},
            sub_bands=[],
        )
        return m.PutResult(created=1)

    def do_gateway_delete(self, r: m.Key) -> m.Ok:
        _find(self.gateway_table, r.key, "gateway")
        del self.gateway_table[r.key]
        return m.Ok()

    def do_gateways_unknown(self, _: m.Empty) -> m.UnknownGateways:
        return m.UnknownGateways(list(self.unknown.values()))

    def do_gateway_statistics(self, r: m.GatewayStatisticsRequest) -> m.GatewayStatistics:
        _find(self.gateway_table, r.key, "gateway")
        hours = self.gateway_hours.get(r.key, [])
        return m.GatewayStatistics([hour for hour in hours if r.from_us - 3_600_000_000 < hour.hour_us < r.to_us])

    def do_station_setup_put(self, r: m.StationSetupWrite) -> m.PutResult:
        gateway = _find(self.gateway_table, r.gateway_eui, "gateway")
        gateway.station_setup = m.StationSetup(r.region, r.max_eirp_dbm, r.concentrator)
        return m.PutResult(changed=1)

    def do_station_credentials_put(self, r: m.StationCredentialsRequest) -> m.StationCredentials:
        if not r.uri:
            raise refuse(422, "invalid", "uri: say by which name and port stations reach this server", "uri")
        gateway = _find(self.gateway_table, r.gateway_eui, "gateway")
        gateway.station_tokens += 1
        return m.StationCredentials(r.uri, r.uri.replace("ws", "http", 1), "", "mwgw-one", "mwgw-two")

    def do_station_credentials_delete(self, r: m.Key) -> m.Revoked:
        gateway = _find(self.gateway_table, r.key, "gateway")
        ended, gateway.station_tokens = gateway.station_tokens, 0
        return m.Revoked(ended)

    # ------------------------------------------------------------------------------------------------------ profiles

    def do_profiles(self, _: m.Empty) -> m.ProfilePage:
        return m.ProfilePage(list(self.profile_table.values()))

    def do_profile_put(self, r: m.ProfileWrite) -> m.PutResult:
        if r.region != "RU864":
            raise refuse(422, "invalid", f"there is no region {r.region}", "region")
        old = self.profile_table.get(r.name)
        if old is not None and old.built_in:
            raise refuse(409, "conflict", f"profile {r.name} is built in")
        self.profile_table[r.name] = m.ProfileRecord(**msgspec.structs.asdict(r))
        return m.PutResult(created=int(old is None), changed=int(old is not None))

    def do_profile_delete(self, r: m.Key) -> m.Ok:
        profile = _find(self.profile_table, r.key, "profile")
        if profile.built_in or any(d.profile == r.key for d in self.device_table.values()):
            raise refuse(409, "conflict", f"profile {r.key} is in use or built in")
        del self.profile_table[r.key]
        return m.Ok()

    # ------------------------------------------------------------------------------------------------------- devices

    def do_devices(self, r: m.DevicesRequest) -> m.DevicePage:
        table = self.device_table
        if r.dev_euis is not None:
            table = {key: value for key, value in table.items() if key in set(r.dev_euis)}
        items, cursor = _page(table, r, lambda d: d.name)
        return m.DevicePage(items, cursor)

    def do_device(self, r: m.Key) -> m.DeviceRecord:
        return _find(self.device_table, r.key, "device")

    def do_devices_put(self, r: m.DevicesPut) -> m.PutResult:
        result = m.PutResult()
        for item in r.items:
            old = self.device_table.get(item.dev_eui)
            if old is not None and r.create_only:
                raise refuse(409, "conflict", f"device {item.dev_eui} exists already", "dev_eui")
            given = {k: v for k, v in msgspec.structs.asdict(item).items() if v is not UNSET}
            keys = {name: given.pop(name) for name in ("app_key", "nwk_key") if name in given}
            if old is None and given.get("activation", "OTAA") == "OTAA" and "app_key" not in keys:
                detail = f"app_key: device {item.dev_eui}: an OTAA device needs its AppKey"
                raise refuse(422, "invalid", detail, "app_key")
            profile = self.profile_table.get(given.get("profile", old.profile if old else ""))
            if profile is None:
                raise refuse(422, "invalid", "there is no such profile", "profile")
            given |= {
                "codec": profile.codec,
                "mac_version": profile.mac_version,
                "region": profile.region,
                "device_class": profile.device_class,
                "expected_interval_s": profile.expected_interval_s,
            }
            if r.dry_run:
                continue
            self.keys.setdefault(item.dev_eui, {}).update(keys)
            if old is not None:
                self.device_table[item.dev_eui] = msgspec.structs.replace(old, **given)
                result.changed += 1
                continue
            start = {"join_eui": "0" * 16, "name": "", "activation": "OTAA", "tags": {}, "disabled": False}
            self.device_table[item.dev_eui] = m.DeviceRecord(**(start | given), created_at_us=self.now_us)
            result.created += 1
        return result

    def do_device_delete(self, r: m.Key) -> m.Ok:
        _find(self.device_table, r.key, "device")
        del self.device_table[r.key]
        return m.Ok()

    def do_session(self, r: m.Key) -> m.SessionRecord:
        return _find(self.session_table, r.key, "session of")

    def do_session_put(self, r: m.SessionWrite) -> m.Ok:
        _find(self.device_table, r.dev_eui, "device")
        self.session_table[r.dev_eui] = m.SessionRecord(
            dev_eui=r.dev_eui,
            dev_addr=r.dev_addr,
            mac_version="1.0.3",
            activated_at_us=self.now_us,
            confirmed_by_uplink=True,
            f_cnt_up=r.f_cnt_up,
            f_cnt_down=r.f_cnt_down,
            a_f_cnt_down=r.a_f_cnt_down,
            rx1_delay_s=1,
            rx1_dr_offset=0,
            rx2_dr=0,
            rx2_frequency_hz=869_100_000,
            channels_hz=[868_900_000, 869_100_000],
            dr=None,
            tx_power_index=0,
            nb_trans=1,
            adr_reason="",
        )
        return m.Ok()

    def do_rejoin(self, r: m.RejoinWish) -> m.Ok:
        _find(self.session_table, r.dev_eui, "session of")
        self.rejoins.append((r.dev_eui, r.rejoin_type, r.dr))
        return m.Ok()

    def do_session_delete(self, r: m.Key) -> m.Ok:
        _find(self.session_table, r.key, "session of")
        del self.session_table[r.key]
        return m.Ok()

    def do_queue(self, r: m.Key) -> m.QueuePage:
        return m.QueuePage(self.queue_table.get(r.key, []))

    def do_queue_put(self, r: m.QueueWrite) -> m.QueueItem:
        _find(self.device_table, r.dev_eui, "device")
        known = self.idempotent.get((r.dev_eui, r.idempotency_key))
        if r.idempotency_key and known is not None:
            return known
        items = self.queue_table.setdefault(r.dev_eui, [])
        item = m.QueueItem(
            id=f"00000000-0000-4000-8000-{len(items):012d}",
            dev_eui=r.dev_eui,
            f_port=r.f_port,
            data=r.data,
            confirmed=r.confirmed,
            state="queued",
            reason="",
            created_at_us=self.now_us,
            expires_at_us=r.expires_at_us,
            f_cnt_down=None,
        )
        items.append(item)
        self.idempotent[(r.dev_eui, r.idempotency_key)] = item
        return item

    def do_queue_delete(self, r: m.Key) -> m.Ok:
        self.queue_table.pop(r.key, None)
        return m.Ok()

    def do_nonces_forget(self, r: m.NoncesForget) -> m.Forgotten:
        euis = r.dev_euis or [d.dev_eui for d in self.device_table.values() if d.profile == r.profile]
        self.forgotten += euis
        return m.Forgotten(len(euis))

    # -------------------------------------------------------------------------------------------------------- frames

    async def do_frames(self, r: m.FramesRequest) -> m.FramePage:
        if r.after is not None:
            await self._wait(lambda: bool(self.frame_list) and self.frame_list[-1].id > r.after, r.wait_s)
            return m.FramePage([f for f in self.frame_list if f.id > r.after][: r.limit])
        found = [f for f in reversed(self.frame_list) if self._matches(f, r)]
        page = found[: r.limit]
        return m.FramePage(page, page[-1].id if len(found) > r.limit else None)

    @staticmethod
    def _matches(f: m.FrameRecord, r: m.FramesRequest) -> bool:
        heard = {item.gateway_eui for item in f.receptions} | {f.gateway_eui}
        return (
            (r.before is None or f.id < r.before)
            and (not r.dev_eui or f.dev_eui == r.dev_eui)
            and (not r.gateway_eui or r.gateway_eui in heard)
            and (not r.type or r.type in f.type)
            and (r.since_us is None or f.time_us >= r.since_us)
            and (r.until_us is None or f.time_us < r.until_us)
        )

    async def do_events(self, r: m.EventsRequest) -> m.EventsResult:
        await self._wait(lambda: bool(self.event_list) and self.event_list[-1].id > r.after, r.wait_s)
        return m.EventsResult([e for e in self.event_list if e.id > r.after][: r.limit])

    async def _wait(self, there: Any, wait_s: float) -> None:
        if not there() and wait_s:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), wait_s)

    def add_frame(self, frame: m.FrameRecord) -> None:
        self.frame_list.append(frame)
        self._wake()

    def add_event(self, event: m.Event) -> None:
        self.event_list.append(event)
        self._wake()

    def _wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    def do_status(self, _: m.Empty) -> m.NetworkStatus:
        return m.NetworkStatus(
            version="0.1.0",
            started_at_us=self.now_us,
            region="RU864",
            devices=len(self.device_table),
            sessions=len(self.session_table),
            gateways=len(self.gateway_table),
            gateways_online=sum(g.online for g in self.gateway_table.values()),
            last_event_id=self.event_list[-1].id if self.event_list else 0,
            storage=self.storage,
            counters={"accepted": len(self.frame_list)},
        )


def _find(table: dict[str, Any], key: str, what: str) -> Any:
    if key not in table:
        raise refuse(404, "not_found", f"there is no {what} {key}")
    return table[key]


def _page(table: dict[str, Any], r: m.ListRequest, name: Any) -> tuple[list[Any], str | None]:
    q = r.q.lower().replace(" ", "")
    keys = sorted(k for k in table if k > r.cursor and (q in k or q in name(table[k]).lower().replace(" ", "")))
    page = keys[: r.limit]
    return [table[k] for k in page], page[-1] if len(keys) > r.limit else None
