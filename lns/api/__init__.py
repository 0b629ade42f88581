"""The internal API: what the application process and the command line ask of the network process.

One function a method, in a file for each thing; ``http`` serves them, ``table`` names them. They run in the engine's thread
and wait for durability before they answer a change.
"""
