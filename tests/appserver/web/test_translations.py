from __future__ import annotations

import re

import pytest
from babel.messages.pofile import read_po

from appserver.web import formats, i18n
from appserver.web.catalogue import extracted
from appserver.web.i18n import LOCALE_DIR, use
from appserver.web.sentences import said

PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%s")


def catalogue():  # type: ignore[no-untyped-def]
    with (LOCALE_DIR / "ru" / "LC_MESSAGES" / "meterwan.po").open("rb") as source:
        return read_po(source, locale="ru")


def test_every_message_of_code_and_templates_is_translated() -> None:
    known = {message.id: message for message in catalogue() if message.id}
    wanted = extracted()
    assert len(wanted) > 400
    for message in wanted:
        assert message in known, message
        translated = known[message].string
        forms = translated if isinstance(translated, tuple) else (translated,)
        assert all(forms), message
        assert not known[message].fuzzy, message
        assert len(forms) == (3 if isinstance(message, tuple) else 1), message
        originals = message if isinstance(message, tuple) else (message,)
        for form in forms:
            assert sorted(PLACEHOLDER.findall(form)) == sorted(PLACEHOLDER.findall(originals[-1])), message
    assert set(known) == set(wanted), "and nothing that is not used"


def test_no_russian_message_is_left_in_english() -> None:
    same = {"GPRS", "SNR", "RSSI / SNR"}
    for message in catalogue():
        if message.id and message.id not in same:
            text = message.string[0] if isinstance(message.string, tuple) else message.string
            assert re.search("[а-яё]", text, re.IGNORECASE), message.id


@pytest.mark.parametrize(
    ("minutes", "russian", "english"),
    [
        (0, "только что", "just now"),
        (1, "1 минуту назад", "1 minute ago"),
        (2, "2 минуты назад", "2 minutes ago"),
        (5, "5 минут назад", "5 minutes ago"),
        (11, "11 минут назад", "11 minutes ago"),
        (21, "21 минуту назад", "21 minutes ago"),
        (60 * 22, "22 часа назад", "22 hours ago"),
        (60 * 24 * 111, "111 дней назад", "111 days ago"),
    ],
)
def test_plural_forms(minutes: int, russian: str, english: str) -> None:
    now = 10**16
    for language, expected in (("ru", russian), ("en", english)):
        use(language)
        assert formats.ago(now - minutes * 60_000_000, now) == expected


def test_numbers_and_times_follow_the_language() -> None:
    use("ru")
    assert formats.number(-1234.5678, 2) == "−1\xa0234,57"
    assert formats.volume(None) == "–"
    assert formats.percent(12) == "12,0\xa0%"
    assert formats.number(0.04, 1, sign=True) == "0,0"
    assert formats.number(5, 1, sign=True) == "+5,0"
    assert formats.minute(1_793_000_000_000_000, "Asia/Yekaterinburg") == "26 окт. 2026 12:33"
    use("en")
    assert formats.number(-1234.5678, 2) == "−1,234.57"
    assert formats.minute(1_793_000_000_000_000, "UTC") == "26 Oct 2026 07:33"


def test_sentences_of_other_rooms_are_taken_apart() -> None:
    use("ru")
    assert said("must be 16 hexadecimal digits") == "нужно 16 шестнадцатеричных цифр"
    assert said("номер счётчика: must not be empty.") == "номер счётчика: не должно быть пустым."
    assert said("ресурс: 'пар' is not known; use one of cold_water, gas.") == (
        "ресурс: 'пар' — неизвестно; допустимо: cold_water, gas."
    )
    assert said("Something that nobody foresaw 100%s.") == "Something that nobody foresaw 100%s."
    use("en")
    assert said("must not be empty") == "must not be empty"


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("ru-RU,ru;q=0.9,en;q=0.8", "ru"),
        ("en-US,en;q=0.9,ru;q=0.8", "en"),
        ("de,ru;q=0.3,en;q=0.4", "en"),
        ("de", ""),
        ("", ""),
        ("ru;q=x,en", "en"),
        ("*", ""),
    ],
)
def test_the_browsers_wish(header: str, language: str) -> None:
    assert i18n._accepted(header) == language
