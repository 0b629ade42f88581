"""The way of an uplink: accept → gather → hand over.

``accept`` finds the session, checks the MIC and takes the counter; the frame is in the batch, so its PUSH_ACK waits for the
commit. ``gather`` collects further copies for the deduplication window. ``handover`` makes the one event of a frame and asks
for a downlink. ``join`` does the same for join-requests, with the join server in between.
"""
