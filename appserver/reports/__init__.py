"""Statements: what people print, sign and send.

:func:`make` gathers a statement out of application.db, :func:`render` writes it. The same data give the same bytes: a
file carries the SHA-256 of its rows and no moment of making.
"""

from appserver.reports.render import FORMATS, MEDIA_TYPES, render
from appserver.reports.statement import Column, Statement
from appserver.reports.statements import NAMES, balance_statement, house_statement, individual_statement, make

__all__ = [
    "FORMATS",
    "MEDIA_TYPES",
    "NAMES",
    "Column",
    "Statement",
    "balance_statement",
    "house_statement",
    "individual_statement",
    "make",
    "render",
]
