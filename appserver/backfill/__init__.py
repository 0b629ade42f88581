"""Filling gaps: devices are asked for boundary values that did not come.

``plan`` chooses, pure, what to ask: boundaries of the billing period first, few at a time, within the airtime that the
rule gives, one query a device; what a device has no record of is not asked again. ``store`` reads gaps and keeps
queries, ``runner`` hands them to the network's queue.
"""
