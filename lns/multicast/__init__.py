"""Multicast: one frame for many devices of class B or C, by every gateway that is needed to reach them.

``group`` is what is known of a group, ``coverage`` finds its gateways and who of them may speak at once, ``sender`` takes the
queue of each group through the air.
"""
