"""Readings that come beside the radio: by HTTP, over MQTT, as files in a folder.

All of them go one way (``intake``): the readings, the note of their delivery and what was refused are one transaction,
written before anybody is told that they are here; the same delivery again changes nothing. ``mapping`` and ``tables`` read
other people's forms, ``mqtt`` subscribes, ``files`` watches the folder.
"""
