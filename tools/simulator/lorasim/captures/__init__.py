"""Captures of a real gateway's UDP traffic: read with scapy, shown as LoRaWAN, replayed against a server.

scapy is GPL-2.0 and therefore an extra that one installs oneself: ``pip install 'meterwan[pcap]'``.
"""

from __future__ import annotations


class CaptureError(ValueError):
    """The capture cannot be read; the text says why and what to do."""
