"""The join server: root keys, nonces, join and rejoin of LoRaWAN 1.0.x and 1.1, in process or over Backend Interfaces.

``core`` holds the rules as pure functions, ``store`` the file ``join.db``, ``server`` joins the two in durable batches,
``local`` and ``client`` are the two ways a network server reaches a join server: a thread of its own, or HTTP.
"""
