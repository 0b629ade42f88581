"""The language that the two processes speak: messages of the internal API and its client.

The network process serves these methods on a Unix socket; the application process and the command line call them.
This room holds values and a client only. It imports nothing of ours, so neither process sees the inside of the other.
"""
