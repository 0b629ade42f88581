"""The one table of meters that goes in and out: a row is a meter with everything around it.

Names are matched without case, blanks, underscores and ``ё``; each column has an English and a Russian one.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """A column: where it belongs and what people call it."""

    name: str
    group: str
    """``organisation``, ``building``, ``premises``, ``point``, ``meter``, ``installation``, ``channel`` or ``device``."""
    field: str
    russian: tuple[str, ...]
    """Names in Russian; the first is written by exports."""
    required: bool = False
    secret: bool = False
    """Never exported."""


COLUMNS = (
    Column("organisation", "organisation", "name", ("организация", "управляющая компания", "ук"), required=True),
    Column("organisation_kind", "organisation", "kind", ("вид организации",)),
    Column("inn", "organisation", "inn", ("инн",)),
    Column("address", "building", "address", ("адрес", "дом", "адрес дома"), required=True),
    Column("fias_guid", "building", "fias_guid", ("фиас", "гар", "код фиас")),
    Column("timezone", "building", "timezone", ("часовой пояс",)),
    Column("building_kind", "building", "kind", ("вид здания",)),
    Column("premises", "premises", "number", ("помещение", "квартира", "кв")),
    Column("premises_kind", "premises", "kind", ("вид помещения",)),
    Column("account", "premises", "account_number", ("лицевой счёт", "лс", "номер лс")),
    Column("area_m2", "premises", "area_m2", ("площадь", "площадь, м2")),
    Column("residents", "premises", "residents", ("проживающих", "жильцов")),
    Column("resource", "point", "resource", ("ресурс", "услуга"), required=True),
    Column("role", "point", "role", ("роль", "вид учёта")),
    Column("direction", "point", "direction", ("направление",)),
    Column("point", "point", "name", ("точка учёта", "место установки")),
    Column("serial", "meter", "serial", ("номер счётчика", "заводской номер", "номер пу"), required=True),
    Column("manufacturer", "meter", "manufacturer", ("изготовитель", "производитель")),
    Column("model", "meter", "model", ("модель", "тип счётчика")),
    Column("digits", "meter", "digits", ("разрядов", "разрядность")),
    Column("qmax", "meter", "qmax", ("наибольший расход",)),
    Column("verified_on", "meter", "verified_on", ("дата поверки", "поверен")),
    Column("verification_until", "meter", "verification_until", ("поверка до", "дата следующей поверки")),
    Column("installed_on", "installation", "installed_on", ("дата установки", "установлен")),
    Column("start_value", "installation", "start_value", ("начальное показание", "показание при установке")),
    Column("dev_eui", "channel", "dev_eui", ("deveui",)),
    Column("channel", "channel", "channel", ("канал", "вход")),
    Column("register", "channel", "register_name", ("регистр", "шкала")),
    Column("pulse_weight", "channel", "weight", ("вес импульса", "цена импульса")),
    Column("start_pulses", "channel", "start_pulses", ("импульсов при привязке", "начальные импульсы")),
    Column("device_name", "device", "name", ("имя устройства", "радиомодуль")),
    Column("profile", "device", "profile", ("профиль", "профиль устройства")),
    Column("join_eui", "device", "join_eui", ("joineui", "appeui")),
    Column("app_key", "device", "app_key", ("appkey", "ключ"), secret=True),
    Column("nwk_key", "device", "nwk_key", ("nwkkey",), secret=True),
)

WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    "resource": {
        "cold_water": ("хвс", "холодная вода", "холодное водоснабжение"),
        "hot_water": ("гвс", "горячая вода", "горячее водоснабжение"),
        "electricity": ("ээ", "электроэнергия", "электрическая энергия", "электричество"),
        "heat": ("тепло", "отопление", "тепловая энергия"),
        "gas": ("газ",),
    },
    "role": {
        "individual": ("ипу", "индивидуальный"),
        "house": ("одпу", "общедомовой", "коллективный"),
        "node": ("узел", "сеть"),
    },
    "direction": {"in": ("вход", "приход"), "out": ("выход", "уход")},
    "premises_kind": {
        "flat": ("квартира", "жилое"),
        "nonresidential": ("нежилое", "офис"),
        "common": ("общее", "общедомовое"),
    },
    "building_kind": {
        "house": ("дом", "мкд"),
        "school": ("школа",),
        "boiler_house": ("котельная",),
        "heat_point": ("тепловой пункт", "цтп", "итп"),
        "office": ("офис",),
        "other": ("другое",),
    },
    "organisation_kind": {
        "management_company": ("ук", "управляющая компания"),
        "resource_supplier": ("рсо", "ресурсоснабжающая организация"),
        "homeowners": ("тсж", "тсн", "жск"),
        "developer": ("застройщик",),
        "service": ("сервис", "обслуживание"),
        "other": ("другая",),
    },
}
"""Values of the word columns with what people write for them; the first Russian one is written by exports."""


def plain(name: str) -> str:
    """A column's name or a word as it is compared."""
    return name.strip().casefold().replace("ё", "е").replace("_", "").replace(" ", "").replace(".", "").replace(",", "")


BY_NAME = {plain(name): column for column in COLUMNS for name in (column.name, *column.russian)}
BY_WORD = {
    column: {plain(word): value for value, words in values.items() for word in (value, *words)}
    for column, values in WORDS.items()
}
