"""Carries notices to people: at least once, with patience. ``page`` notices need no carrying."""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Protocol

import aiohttp
import structlog

from appserver.db import Database
from appserver.incidents.store import IncidentRow, get_incident
from appserver.incidents.words import message, subject_line
from appserver.integrations.addresses import AllowList, CheckedResolver, check_url
from appserver.settings import NotificationSettings

log = structlog.get_logger("notices")

BACK_OFF_S = (10, 60, 300, 900, 3600)
GIVE_UP_US = 24 * 3_600_000_000
PAGE = 200
IDLE_S = 5.0
MAX_LINES = 40
"""Incidents in one message; the rest is counted."""


class NotSent(Exception):
    """The message did not go out; ``for_good`` when it never will."""

    def __init__(self, reason: str, for_good: bool = False) -> None:
        super().__init__(reason)
        self.for_good = for_good


@dataclass(frozen=True, slots=True)
class Letter:
    """What one subscription is told at once."""

    channel: str
    target: str
    chat: str
    subject: str
    text: str


class Carrier(Protocol):
    """Sends one letter. Raises NotSent."""

    async def __call__(self, letter: Letter) -> None: ...


@dataclass(frozen=True, slots=True)
class Due:
    """A notice whose turn it is."""

    id: int
    incident_id: int
    change: str
    at_us: int
    attempts: int


def due(db: Database, now_us: int) -> dict[tuple[int, str, str, str, str], list[Due]]:
    """Waiting notices by subscription: id, channel, target, chat, language."""
    found: dict[tuple[int, str, str, str, str], list[Due]] = {}
    for sub, channel, target, chat, language, *rest in db.rows(
        "SELECT s.id, s.channel, s.target, s.chat, s.language, n.id, n.incident_id, n.change, n.at_us, n.attempts"
        " FROM notice n JOIN subscription s ON s.id = n.subscription_id WHERE n.state = 'pending'"
        " AND n.next_attempt_at_us <= ? ORDER BY n.id LIMIT ?",
        (now_us, PAGE),
    ):
        found.setdefault((sub, channel, target, chat, language), []).append(Due(*rest))
    return found


def letter_of(
    key: tuple[int, str, str, str, str], news: Sequence[tuple[IncidentRow, str]], timezone: str, url: str
) -> Letter:
    """One letter of everything that waits for a subscription."""
    _, channel, target, chat, language = key
    subject = subject_line(*news[0], language)
    if len(news) > 1:
        subject = f"MeterWAN: {len(news)} {'нештатных ситуаций' if language == 'ru' else 'incidents'}"
    parts = [message(incident, change, language, timezone, url) for incident, change in news[:MAX_LINES]]
    if len(news) > MAX_LINES:
        parts.append(f"+{len(news) - MAX_LINES}")
    return Letter(channel, target, chat, subject, "\n\n".join(parts))


async def send_due(db: Database, carry: Carrier, now_us: int, timezone: str, url: str = "") -> int:
    """Send what is due, one letter a subscription. Returns how many letters went out."""
    sent = 0
    for key, notices in (await asyncio.to_thread(due, db, now_us)).items():
        news = [(await asyncio.to_thread(get_incident, db, notice.incident_id), notice.change) for notice in notices]
        try:
            await carry(letter_of(key, news, timezone, url))
        except NotSent as error:
            log.warning("notice not sent", subscription=key[0], reason=str(error))
            await asyncio.to_thread(_failed, db, notices, str(error), error.for_good, now_us)
            continue
        sent += 1
        await asyncio.to_thread(_sent, db, notices, now_us)
    return sent


def _sent(db: Database, notices: Sequence[Due], now_us: int) -> None:
    with db.transaction() as connection:
        connection.executemany(
            "UPDATE notice SET state = 'sent', sent_at_us = ?, error = '' WHERE id = ?",
            [(now_us, n.id) for n in notices],
        )


def _failed(db: Database, notices: Sequence[Due], reason: str, for_good: bool, now_us: int) -> None:
    rows = []
    for notice in notices:
        dead = for_good or now_us - notice.at_us > GIVE_UP_US
        pause_us = BACK_OFF_S[min(notice.attempts, len(BACK_OFF_S) - 1)] * 1_000_000
        rows.append(("dead" if dead else "pending", now_us + pause_us, reason[:500], notice.id))
    with db.transaction() as connection:
        connection.executemany(
            "UPDATE notice SET state = ?, attempts = attempts + 1, next_attempt_at_us = ?, error = ? WHERE id = ?", rows
        )


# ----------------------------------------------------------------------------------------------------------- carriers


def send_mail(settings: NotificationSettings, letter: Letter) -> None:
    """One e-mail over SMTP; blocks, so it belongs into a thread. Raises NotSent."""
    if not settings.smtp_host:
        raise NotSent("no mail server is set: application.notifications.smtp_host")
    mail = EmailMessage()
    mail["From"], mail["To"] = settings.smtp_sender, letter.target
    mail["Subject"] = " ".join(letter.subject.split())
    mail.set_content(letter.text)
    context = ssl.create_default_context()
    try:
        if settings.smtp_security == "tls":
            client: smtplib.SMTP = smtplib.SMTP_SSL(settings.smtp_host, settings.smtp_port, timeout=20, context=context)
        else:
            client = smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=20)
        with client:
            if settings.smtp_security == "starttls":
                client.starttls(context=context)
            if settings.smtp_user:
                client.login(settings.smtp_user, settings.smtp_password)
            client.send_message(mail)
    except (smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused) as error:
        raise NotSent(f"refused: {error}", for_good=True) from error
    except (smtplib.SMTPException, OSError) as error:
        raise NotSent(f"{type(error).__name__}: {error}") from error


async def send_telegram(session: aiohttp.ClientSession, allow: AllowList, letter: Letter) -> None:
    """One POST of ``{"chat_id", "text"}``, as Telegram's ``sendMessage`` takes it. Raises NotSent."""
    if problem := check_url(letter.target, allow):
        raise NotSent(f"url: {problem}", for_good=True)
    body = {"chat_id": letter.chat, "text": letter.text[:4096], "disable_web_page_preview": True}
    try:
        async with session.post(letter.target, json=body, allow_redirects=False) as response:
            status = response.status
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise NotSent(f"{type(error).__name__}: {error}") from error
    if not 200 <= status < 300:
        raise NotSent(f"answered {status}", for_good=400 <= status < 500 and status not in (408, 429))


async def deliver(
    db: Database,
    settings: NotificationSettings,
    stop: asyncio.Event,
    allow: Sequence[str],
    clock: Callable[[], int],
    timezone: str,
    url: str = "",
) -> None:
    """Send what is due until ``stop``."""
    allowed = AllowList(allow)
    connector = aiohttp.TCPConnector(resolver=CheckedResolver(allowed), use_dns_cache=False, limit=8)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=20)) as session:

        async def carry(letter: Letter) -> None:
            if letter.channel == "email":
                await asyncio.to_thread(send_mail, settings, letter)
            else:
                await send_telegram(session, allowed, letter)

        while not stop.is_set():
            await send_due(db, carry, clock(), timezone, url)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), IDLE_S)
