"""Gateways: one front per protocol, and what the server knows of each gateway.

Contract of a front: it turns datagrams or messages of one protocol into :class:`~lns.gateways.frames.RxFrame` values and
:class:`~lns.gateways.frames.TxFrame` values into its own messages. It keeps no LoRaWAN state. Garbage raises
``FrameError`` and nothing else.
"""
