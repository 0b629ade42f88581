"""Event bodies as ChirpStack v4 sends them: proto3 JSON of the messages in chirpstack/api ``integration.proto``.

The messages of the package ``integration`` carry every scalar, also zero and empty; nested ``gw`` messages leave zeros
out; absent sub-messages are absent. Bytes are base64, times RFC 3339, EUIs lower-case hex.
"""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from appserver.metering.timebase import moment
from internalapi.messages import Event, Reception

NAMESPACE = uuid.UUID("6f1f6a9e-52a5-5d1c-9a53-0d1c7a3f8b11")
_LORA = re.compile(r"SF(\d+)BW(\d+)")
_LR_FHSS = re.compile(r"M(\d+)CW(\d+)")
LR_FHSS_CODE_RATES = ("CR_2_6", "CR_4_6")
"""Coding rates 1/3 and 2/3 in ChirpStack's words; even modes of a data rate are 1/3, odd ones 2/3."""
LOG_CODES = frozenset(
    (
        "DOWNLINK_CODEC",
        "DOWNLINK_GATEWAY",
        "DOWNLINK_PAYLOAD_SIZE",
        "EXPIRED",
        "F_CNT_DOWN",
        "OTAA",
        "RELAY_NEW_END_DEVICE",
        "UNKNOWN",
        "UPLINK_CODEC",
        "UPLINK_F_CNT_RESET",
        "UPLINK_F_CNT_RETRANSMISSION",
        "UPLINK_MIC",
    )
)


def identifier(kind: str, name: str) -> str:
    """The UUID under which a thing of ours appears in bodies: the same for the same name, always."""
    return str(uuid.uuid5(NAMESPACE, f"{kind}/{name}"))


@dataclass(frozen=True, slots=True)
class Application:
    """What ChirpStack calls tenant and application; topics carry the application's id."""

    tenant: str = "MeterWAN"
    name: str = "metering"
    region: str = "ru864"

    @property
    def id(self) -> str:
        """The applicationId."""
        return identifier("application", self.name)


DEFAULT = Application()


def time_text(at_us: int) -> str:
    """RFC 3339 with microseconds, UTC."""
    return moment(at_us).isoformat(timespec="microseconds")


def body(event: Event, values: Mapping[str, Any] | None = None, application: Application = DEFAULT) -> dict[str, Any]:
    """The JSON body of an event; ``values`` is what the codec found in an uplink (``object``)."""
    build = _BODIES.get(event.type)
    if build is None:
        raise ValueError(f"there is no body for events of type {event.type!r}")
    common: dict[str, Any] = {"time": time_text(event.time_us), "deviceInfo": _device(event, application)}
    if event.type not in ("txack", "log"):
        name = f"{event.dev_eui}/{event.id}/{event.time_us}"
        common = {"deduplicationId": identifier("event", name), **common}
    return {
        **common,
        **build(event, application),
        **({"object": dict(values)} if values and event.type == "up" else {}),
    }


def gateway_body(event: Event) -> dict[str, Any]:
    """The JSON body of something about a gateway: like a device's ``log``, with the gateway in place of the device."""
    return {
        "time": time_text(event.time_us),
        "gatewayId": event.gateway_eui,
        "level": event.level,
        "code": event.code,
        "description": event.text,
        "context": event.context,
    }


def topic(event_type: str, dev_eui: str, application: Application = DEFAULT) -> str:
    """The MQTT topic of an event."""
    return f"application/{application.id}/device/{dev_eui}/event/{event_type}"


def _device(event: Event, application: Application) -> dict[str, Any]:
    return {
        "tenantId": identifier("tenant", application.tenant),
        "tenantName": application.tenant,
        "applicationId": application.id,
        "applicationName": application.name,
        "deviceProfileId": identifier("profile", event.profile),
        "deviceProfileName": event.profile,
        "deviceName": event.device_name,
        "devEui": event.dev_eui,
        "deviceClassEnabled": "CLASS_A",
        "tags": {},
    }


def modulation(datr: str) -> dict[str, Any]:
    """``gw.Modulation`` of a data rate as gateways write it."""
    if match := _LORA.fullmatch(datr):
        factor, bandwidth = int(match[1]), int(match[2])
        return {"lora": {"bandwidth": bandwidth * 1000, "spreadingFactor": factor, "codeRate": "CR_4_5"}}
    if match := _LR_FHSS.fullmatch(datr):
        rate = LR_FHSS_CODE_RATES[int(match[1]) % 2]
        return {"lrFhss": {"operatingChannelWidth": int(match[2]) * 1000, "codeRate": rate}}
    if datr.isdigit():
        return {"fsk": {"frequencyDeviation": 25_000, "datarate": int(datr)}}
    return {}


def _without_zeros(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (0, 0.0, "", None, {})}


def _reception(event: Event, reception: Reception, application: Application) -> dict[str, Any]:
    context = (reception.tmst or 0).to_bytes(4, "big") if reception.tmst is not None else b""
    return _without_zeros(
        {
            "gatewayId": reception.gateway_eui,
            "uplinkId": (event.frame_id * 31 + (reception.tmst or 0)) & 0xFFFFFFFF,
            "gwTime": time_text(reception.gateway_time_us) if reception.gateway_time_us is not None else None,
            "nsTime": time_text(reception.received_at_us),
            "timeSinceGpsEpoch": _gps_text(reception.gps_us, None),
            "fineTimeSinceGpsEpoch": (
                None if reception.fine_ns is None else _gps_text(reception.gps_us, reception.fine_ns)
            ),
            "rssi": round(reception.rssi_dbm) if reception.rssi_dbm is not None else None,
            "snr": reception.snr_db,
            "channel": reception.channel,
            "rfChain": reception.rf_chain,
            "antenna": reception.antenna,
            "context": base64.b64encode(context).decode(),
            "metadata": {
                **(reception.metadata or {}),
                "region_config_id": application.region,
                "region_common_name": application.region.upper(),
            },
            "crcStatus": "CRC_OK",
        }
    )


def _gps_text(gps_us: int | None, fine_ns: int | None) -> str | None:
    """GPS time as a protobuf duration in JSON; ``fine_ns`` stands for everything below the second."""
    if gps_us is None:
        return None
    whole_s, rest_us = divmod(gps_us, 1_000_000)
    nanos = rest_us * 1000 if fine_ns is None else fine_ns
    return f"{whole_s}{f'.{nanos:09d}'.rstrip('0').rstrip('.')}s"


def _up(event: Event, application: Application) -> dict[str, Any]:
    return {
        "devAddr": event.dev_addr,
        "adr": event.adr,
        "dr": event.dr,
        "fCnt": event.f_cnt,
        "fPort": event.f_port or 0,
        "confirmed": event.confirmed,
        "data": base64.b64encode(event.data).decode(),
        "rxInfo": [_reception(event, reception, application) for reception in event.receptions],
        "txInfo": _without_zeros({"frequency": event.frequency_hz, "modulation": modulation(event.datr)}),
        "regionConfigId": application.region,
        **_relay(event),
        **_join_server_context(event),
    }


def _relay(event: Event) -> dict[str, Any]:
    if (relay := event.relay) is None:
        return {}
    heard = {
        "frequency": relay.frequency_hz,
        "dr": relay.dr,
        "snr": relay.snr_db,
        "rssi": relay.rssi_dbm,
        "worChannel": relay.wor_channel,
    }
    return {"relayRxInfo": {"devEui": relay.dev_eui, **_without_zeros(heard)}}


def _join_server_context(event: Event) -> dict[str, Any]:
    if (envelope := event.app_s_key) is None:
        return {}
    wrapped = base64.b64encode(bytes.fromhex(envelope.aes_key)).decode()
    return {"joinServerContext": {"appSKey": {"kekLabel": envelope.kek_label, "aesKey": wrapped}}}


def _join(event: Event, application: Application) -> dict[str, Any]:
    return {"devAddr": event.dev_addr, "regionConfigId": application.region}


def _ack(event: Event, _: Application) -> dict[str, Any]:
    return {"queueItemId": event.queue_item_id, "acknowledged": event.acknowledged, "fCntDown": event.f_cnt_down}


def _txack(event: Event, _: Application) -> dict[str, Any]:
    tx_info = _without_zeros({"frequency": event.frequency_hz, "modulation": modulation(event.datr)})
    return {
        "downlinkId": event.downlink_id & 0xFFFFFFFF,
        "queueItemId": event.queue_item_id,
        "fCntDown": event.f_cnt_down,
        "gatewayId": event.gateway_eui,
        **({"txInfo": tx_info} if tx_info else {}),
    }


def _status(event: Event, _: Application) -> dict[str, Any]:
    battery = 255 if event.battery is None else event.battery
    level = round(battery * 100 / 254, 2) if 1 <= battery <= 254 else 0.0
    return {
        "margin": event.margin_db or 0,
        "externalPowerSource": battery == 0,
        "batteryLevelUnavailable": battery == 255,
        "batteryLevel": level,
    }


def _log(event: Event, _: Application) -> dict[str, Any]:
    return {
        "level": event.level if event.level in ("INFO", "WARNING", "ERROR") else "INFO",
        "code": event.code if event.code in LOG_CODES else "UNKNOWN",
        "description": event.text,
        "context": dict(event.context),
    }


_BODIES: dict[str, Callable[[Event, Application], dict[str, Any]]] = {
    "up": _up,
    "join": _join,
    "ack": _ack,
    "txack": _txack,
    "status": _status,
    "log": _log,
}
EVENT_TYPES = tuple(_BODIES)
