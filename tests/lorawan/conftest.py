"""Property tests without a time limit per example: the machine may be busy, and the oracle is the value."""

from hypothesis import settings

settings.register_profile("wire", deadline=None, print_blob=True)
settings.load_profile("wire")
