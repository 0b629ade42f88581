"""How ГАР writes a place: short names of kinds of houses and premises, where the kind stands, how numbers are compared."""

from __future__ import annotations

import re

HOUSE_TYPES = {
    "1": "влд.", "2": "д.", "3": "двлд.", "4": "г-ж", "5": "зд.", "6": "шахта", "7": "стр.", "8": "соор.", "9": "лит.",
    "10": "к.", "11": "подв.", "12": "кот.", "13": "п-б", "14": "ОНС",
}  # fmt: skip
"""AS_HOUSE_TYPES, for sources without that file."""
ADD_TYPES = {"1": "к.", "2": "стр.", "3": "соор.", "4": "лит."}
"""AS_ADDHOUSE_TYPES."""
APARTMENT_TYPES = {
    "1": "помещ.", "2": "кв.", "3": "офис", "4": "ком.", "5": "раб.уч.", "6": "скл.", "7": "торг.зал", "8": "цех",
    "9": "пав.", "10": "подв.", "11": "кот.", "12": "п-б", "13": "г-ж",
}  # fmt: skip
"""AS_APARTMENT_TYPES."""

_AFTER = frozenset(
    {"обл", "край", "р-н", "АО", "м.о", "м.р-н", "г.о", "м.о.", "г.п", "с.п", "пр-кт", "пер", "ш", "проезд"}
)
_ASIDE = frozenset(
    """
    г город обл область край респ республика р-н район ул улица пр-кт проспект пер переулок пл площадь проезд ш шоссе
    б-р бульвар наб набережная мкр микрорайон кв-л квартал п пос поселок пгт с село дер деревня д дом к корп корпус стр
    строение влд владение зд здание соор лит литера м г.о
    """.split()  # noqa: SIM905
)
_WORD = re.compile(r"[0-9a-zа-я]+(?:[-/.][0-9a-zа-я]+)*")


def place(type_: str, name: str) -> str:
    """``обл``, ``Челябинская`` → ``Челябинская обл.``; ``ул``, ``Бакальская`` → ``ул. Бакальская``."""
    bare = type_.removesuffix(".")
    dotted = type_ if type_.endswith(".") or len(bare) > 4 or "-" in bare else f"{bare}."
    after = bare in _AFTER and (bare in ("обл", "край", "р-н", "АО") or name[-2:] in ("ий", "ый", "ая", "ой"))
    return f"{name} {dotted}" if after else f"{dotted} {name}".strip()


def fold(text: str) -> str:
    """Text as it is compared."""
    return text.casefold().replace("ё", "е")


def words(text: str) -> list[str]:
    """The words of an address that tell it apart: without «г.», «ул.», «д.»."""
    return [word for word in _WORD.findall(fold(text)) if word.rstrip(".") not in _ASIDE]


def number_key(*parts: str) -> str:
    """A house's number as it is compared: ``12``, ``А``, ``корп. 3`` → ``12а/3``."""
    return "/".join(fold(part).replace(" ", "") for part in parts if part)
