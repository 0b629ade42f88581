"""The network server: gateways in, events out.

``engine.py`` is the whole server without a socket. ``runtime.py`` is the asyncio shell around it: sockets, one timer, the
writer. Rooms: ``gateways`` (protocol fronts, registry, clock, schedule and duty ledger of each gateway), ``uplink``
(accept → gather → hand over), ``downlink`` (queue → window and gateway → transmit → outcome), ``mac`` (one file a command),
``adr`` (algorithms behind one interface), ``store`` (what must survive).
"""
