"""Semtech UDP packet forwarder protocol, version 2 (Lora-net/packet_forwarder PROTOCOL.TXT, sx1302_hal PROTOCOL.md).

``codec`` reads and writes datagrams, ``front`` is the protocol's state without a socket.
"""
