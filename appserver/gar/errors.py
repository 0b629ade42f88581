"""What can be wrong with files of ГАР."""


class GarError(Exception):
    """The file cannot be read, or is not one of ГАР: what, where, what to do."""
