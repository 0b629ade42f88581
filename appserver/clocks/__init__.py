"""Device clocks, put right by downlink.

``plan`` decides, pure, whether a measured offset is worth a step and how large it may be; ``store`` keeps steps and sees
their effect in the next offset; ``runner`` hands them to the network's queue.
"""
