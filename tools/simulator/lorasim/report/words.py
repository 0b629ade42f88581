"""The words of a report, in Russian and English."""

from __future__ import annotations

LANGUAGES = ("en", "ru")

_RU = {
    "Run": "Прогон",
    "Test lab report": "Отчёт испытательного стенда",
    "all assertions hold": "все утверждения выполнены",
    "an assertion is broken": "утверждение нарушено",
    "an invariant is broken": "инвариант нарушен",
    "nothing was asserted": "утверждений нет",
    "scenario": "сценарий",
    "seed": "зерно",
    "began": "начало",
    "lasted": "длительность",
    "region": "регион",
    "devices": "устройства",
    "gateways": "базовые станции",
    "data frames": "кадры данных",
    "delivered": "доставлено",
    "downlinks": "нисходящие кадры",
    "heard": "услышаны",
    "joins": "входы в сеть",
    "Assertions": "Утверждения",
    "assertion": "утверждение",
    "measured": "измерено",
    "holds": "выполнено",
    "BROKEN": "НАРУШЕНО",
    "Checker": "Проверяющий",
    "no invariant is broken": "ни один инвариант не нарушен",
    "the checker was not asked": "проверка не запрашивалась",
    "rule": "правило",
    "device": "устройство",
    "time": "время",
    "what happened": "что произошло",
    "shortest history": "кратчайшая история",
    "numbers": "числа",
    "What the scenario did": "Что делал сценарий",
    "dashes in the charts": "пунктир на графиках",
    "All metrics": "Все показатели",
    "metric": "показатель",
    "value": "значение",
    "meaning": "смысл",
    "Scenario": "Сценарий",
    "Delivery over time": "Доставка во времени",
    "Delivery by spreading factor": "Доставка по коэффициентам расширения",
    "Why uplinks went unheard": "Почему восходящие кадры не услышаны",
    "Airtime of gateways by sub-band": "Время в эфире: базовые станции по поддиапазонам",
    "Airtime of devices by sub-band": "Время в эфире: устройства по поддиапазонам",
    "Energy of devices": "Энергия устройств",
    "Latency": "Задержки",
    "Course of ADR": "Ход ADR",
    "Spreading factors over time": "Коэффициенты расширения во времени",
    "Joins": "Входы в сеть",
    "How long joins took": "Сколько длился вход в сеть",
    "Downlinks": "Нисходящие кадры",
    "Answers of gateways (TX_ACK)": "Ответы базовых станций (TX_ACK)",
    "heard by a gateway": "услышаны станцией",
    "acknowledged": "подтверждены сервером",
    "acked": "подтверждены",
    "given to the application": "переданы приложению",
    "share of all devices' frames of that time": "доля кадров всех устройств, начатых в это время",
    "the mark is the limit of the sub-band; the busiest hour of the run": (
        "черта — предел поддиапазона; самый занятый час прогона"
    ),
    "the busiest device of each sub-band; the mark is the limit; the busiest hour of the run": (
        "самое занятое устройство в каждом поддиапазоне; черта — предел; самый занятый час прогона"
    ),
    "mJ a data frame": "мДж на кадр данных",
    "number of devices": "число устройств",
    "a radio of the SX1272's kind at 3.3 V; listening of class B and C is not in it": (
        "радио класса SX1272 при 3,3 В; приём классов B и C не учтён"
    ),
    "share that took at most so long": "доля тех, что длились не дольше",
    "PUSH_ACK": "PUSH_ACK",
    "application": "приложение",
    "spreading factor": "коэффициент расширения",
    "power, dBm": "мощность, дБм",
    "the device that changed most": "устройство с наибольшим числом перемен",
    "requests": "запросы",
    "sessions": "сеансы",
    "seconds": "секунды",
    "heard in": "услышаны в окне",
    "missed": "пропущены",
    "refused": "отвергнуты",
    "whole run": "весь прогон",
    "no frame": "кадров нет",
    "signal": "слабый сигнал",
    "half duplex": "станция передавала",
    "collision": "столкновение",
    "loss": "случайная потеря",
    "demodulators": "демодуляторы заняты",
    "limit": "предел",
    "max / h": "макс. за час",
    "s": "с",
    "too weak": "слишком слабый сигнал",
    "wrong time": "не то время",
    "wrong channel": "не тот канал",
    "wrong data rate": "не та скорость",
    "busy receiving": "занят приёмом",
    "busy sending": "занят передачей",
    "IQ not inverted": "IQ не инвертирован",
    "asleep": "спит",
    "not heard": "не услышан",
    "nobody listened": "никто не слушал",
    "and {n} more": "и ещё {n}",
    "made by lorasim, MeterWAN's test lab; this file needs no network": (
        "составлено lorasim, испытательным стендом MeterWAN; файлу не нужна сеть"
    ),
    "FCntDown reused": "FCntDown использован повторно",
    "FCntDown falls": "FCntDown уменьшился",
    "MIC": "MIC не сходится",
    "JoinNonce": "JoinNonce не растёт",
    "join-accept": "неверный join-accept",
    "radiated twice": "излучён дважды",
    "downlink at the wrong time": "нисходящий кадр не вовремя",
    "downlink on the wrong channel": "нисходящий кадр не на том канале",
    "downlink at the wrong data rate": "нисходящий кадр не на той скорости",
    "refused by the device": "отвергнут устройством",
    "lost acknowledged": "потерян подтверждённый кадр",
    "duplicate": "дубль",
    "accepted replay": "принят повтор чужого передатчика",
    "accepted forgery": "принята подделка",
    "altered payload": "данные изменены",
    "false ACK": "ложное подтверждение",
    "datagram": "нечитаемая датаграмма",
    "PULL_RESP": "PULL_RESP",
    "data frames, each counter once": "кадры данных, каждый счётчик один раз",
    "data frames, repetitions counted": "кадры данных с повторами",
    "data frames that the server has acknowledged (PUSH_ACK) or a Basics Station has streamed": (
        "кадры, которые сервер подтвердил (PUSH_ACK) или которые передала ему Basics Station"
    ),
    "data frames that at least one gateway heard and forwarded": "кадры, услышанные и пересланные хотя бы одной станцией",
    "data frames that the application was given": "кадры, переданные приложению",
    "confirmed frames that heard their ACK, of those that are over": (
        "подтверждаемые кадры, получившие ACK, из завершённых"
    ),
    "devices' ways into the network that ended in a session": "входы в сеть, закончившиеся сеансом",
    "join-requests": "запросы на вход",
    "devices in a session at the end": "устройства в сеансе к концу",
    "from the first join-request to the session": "от первого запроса до сеанса",
    "radiated downlinks, beacons not counted": "излучённые нисходящие кадры без маяков",
    "downlinks that a device took": "нисходящие кадры, принятые устройством",
    "downlinks that nobody took": "нисходящие кадры, не принятые никем",
    "downlinks that a device must not accept": "нисходящие кадры, которые устройство принять не вправе",
    "downlinks that gateways refused (TX_ACK with an error)": "нисходящие кадры, отвергнутые станциями (TX_ACK с ошибкой)",
    "from PUSH_DATA to PUSH_ACK": "от PUSH_DATA до PUSH_ACK",
    "from the last copy of an uplink to the PULL_RESP": "от последней копии кадра до PULL_RESP",
    "from PUSH_DATA to the event": "от PUSH_DATA до события",
    "of its time that the busiest device was on the air": "доля времени, когда самое занятое устройство было в эфире",
    "of its time that the busiest gateway sent": "доля времени, когда передавала самая занятая станция",
    "time on air of all data frames": "время в эфире всех кадров данных",
    "mean spreading factor of data frames": "средний коэффициент расширения кадров данных",
    "mean energy of a data frame with its repetitions and windows": "средняя энергия кадра с повторами и окнами приёма",
    "energy of the hungriest device since it was switched on": "энергия самого прожорливого устройства с включения",
    "data frames with a PUSH_ACK that the application was never given": (
        "подтверждённые сервером кадры, не дошедшие до приложения"
    ),
    "events too many, of frames that the application was given again": "лишние события: кадр передан приложению повторно",
    "uplink events of frames that no device sent": "события о кадрах, которых никто не посылал",
}


class Words:
    """``words("joins")`` in the language of the report; what has no translation stays as it is."""

    def __init__(self, language: str) -> None:
        if language not in LANGUAGES:
            raise ValueError(f"no report in {language!r}: there are {', '.join(LANGUAGES)}")
        self.language = language

    def __call__(self, text: str, **values: object) -> str:
        found = _RU.get(text, text) if self.language == "ru" else text
        return found.format(**values) if values else found

    def number(self, value: float, digits: int = 0) -> str:
        """With the language's separators."""
        text = f"{value:,.{digits}f}"
        if self.language == "en":
            return text
        return text.replace(",", "\u00a0").replace(".", ",")

    def per_cent(self, share: float, digits: int = 1) -> str:
        return f"{self.number(100 * share, digits)}\u00a0%"

    def duration(self, seconds: float) -> str:
        """``12:05`` minutes and seconds, ``3:12:05`` with hours; days before that."""
        whole = round(seconds)
        days, rest = divmod(whole, 86_400)
        hours, minutes = divmod(rest // 60, 60)
        if days:
            return f"{days} {'д' if self.language == 'ru' else 'd'} {hours}:{minutes:02d}"
        return f"{hours}:{minutes:02d}:{rest % 60:02d}" if hours else f"{minutes}:{rest % 60:02d}"
