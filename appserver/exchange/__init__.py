"""Meters with everything around them, in and out as one table.

``columns`` names the columns, ``tables`` reads CSV and XLSX, ``rows`` checks single rows, ``plan`` compares them with
the registry, ``imports`` carries the plan out, ``exports`` writes the same table back.
"""

from appserver.exchange.exports import export_table
from appserver.exchange.imports import ImportReport, run
from appserver.exchange.rows import RowError
from appserver.exchange.tables import Table, TableError, read_table

__all__ = ["ImportReport", "RowError", "Table", "TableError", "export_table", "read_table", "run"]
