"""Makers' JavaScript in processes of their own: no files, no network, limits of time and memory, killed when it overruns."""

from appserver.codecs.sandbox.sandbox import Limits, Sandbox

__all__ = ["Limits", "Sandbox"]
