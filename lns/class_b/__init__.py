"""Class B: beacons, ping slots, and the downlinks that wait for them.

``beacons`` has gateways send beacons, or keeps the time free in which they send their own; ``slots`` says when a device
or a group listens next and which gateways can speak to it then; ``lock`` says whether it listens at all.
"""
