"""Backend Interfaces (TS002-1.0.0, TS002-1.1.0) between network servers, join servers and application servers.

``messages`` is the JSON, ``envelope`` the keys in it, ``service`` what this join server answers, ``http`` the socket.
"""
