"""The state address register (ГАР, successor of ФИАС): chosen regions of its XML in a database of their own.

``source`` finds the files, ``records`` reads them as a stream, ``load`` imports regions into ``gar.db`` of the data folder,
``register`` answers: search by text, the tree, the current object of an old GUID. What is in ``gar.db`` can be loaded again
at any time, so it is in no backup. ``binding`` compares the registry's buildings with it.
"""

from appserver.gar.errors import GarError
from appserver.gar.load import Loaded, Options, load
from appserver.gar.register import Address, Register, open_register
from appserver.gar.source import Source

__all__ = ["Address", "GarError", "Loaded", "Options", "Register", "Source", "load", "open_register"]
