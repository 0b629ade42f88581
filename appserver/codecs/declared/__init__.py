"""Codecs that are files and not code: a layout in TOML, or a maker's JavaScript with what its values are measured as.

``record`` reads a file, ``layout`` decodes by it, ``samples`` runs the file's own tests. Nothing here imports the web or
the database.
"""

from appserver.codecs.declared.faults import RecordError
from appserver.codecs.declared.record import Record, read_record
from appserver.codecs.declared.samples import Sample, run_samples

__all__ = ["Record", "RecordError", "Sample", "read_record", "run_samples"]
