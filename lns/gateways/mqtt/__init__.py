"""Gateways that speak through an MQTT broker, as ChirpStack's MQTT Forwarder and Gateway Bridge do (version 4).

``gateway.proto`` is the wire, ``codec`` reads and writes it, ``front`` is the protocol without a socket, ``client`` the
connection to the broker.
"""
