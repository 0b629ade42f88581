"""What a network server does right and wrong: named cases, played over the air of simulated gateways.

A case is a small coroutine in :mod:`lorasim.conformance.groups`; it gets a laboratory (:mod:`.lab`) with gateways of its
own and devices whose every frame it decides (:mod:`.probe`). :mod:`.runner` plays cases side by side in real time.
"""
