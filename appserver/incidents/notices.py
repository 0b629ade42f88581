"""Carries notices to people: at least once, with patience. ``page`` notices need no carrying."""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import Protocol

import aiohttp
import structlog

from appserver.auth.roles import Role
from appserver.db import Database
from appserver.incidents.letters import Letter, compose
from appserver.incidents.store import get_incident
from appserver.integrations.addresses import AllowList, CheckedResolver, check_url
from appserver.settings import NotificationSettings

log = structlog.get_logger("notices")

BACK_OFF_S = (10, 60, 300, 900, 3600)
GIVE_UP_US = 24 * 3_600_000_000
PAGE = 20_000
IDLE_S = 5.0
FOR_GOOD = 550
"""From this SMTP code on a server will not take the letter later either; a wrong password (535) may be put right."""


class NotSent(Exception):
    """The message did not go out; ``for_good`` when it never will."""

    def __init__(self, reason: str, for_good: bool = False) -> None:
        super().__init__(reason)
        self.for_good = for_good


class Carrier(Protocol):
    """Sends one letter. Raises NotSent."""

    async def __call__(self, letter: Letter) -> None: ...


@dataclass(frozen=True, slots=True)
class Listener:
    """A subscription that something waits for."""

    id: int
    channel: str
    target: str
    """Empty: the addresses of all people with ``role``."""
    chat: str
    language: str
    role: str


@dataclass(frozen=True, slots=True)
class Due:
    """A notice whose turn it is."""

    id: int
    incident_id: int
    change: str
    at_us: int
    attempts: int


_WAITING = (
    "SELECT s.id, s.channel, s.target, s.chat, s.language, s.role, n.id, n.incident_id, n.change, n.at_us, n.attempts"
    " FROM notice n JOIN subscription s ON s.id = n.subscription_id WHERE n.state = 'pending' AND s.id IN ("
    " SELECT w.subscription_id FROM notice w JOIN subscription l ON l.id = w.subscription_id"
    " JOIN incident i ON i.id = w.incident_id WHERE w.state = 'pending' GROUP BY w.subscription_id"
    " HAVING max(w.next_attempt_at_us) <= ?1"
    " AND (max(l.told_at_us + l.digest_minutes * 60000000) <= ?1"
    " OR max(CASE WHEN i.severity = 'critical' AND w.change = 'opened' THEN 1 ELSE 0 END) = 1))"
    " ORDER BY n.id LIMIT ?2"
)


def due(db: Database, now_us: int) -> dict[Listener, list[Due]]:
    """Waiting notices of the subscriptions whose turn it is.

    After a letter the next one waits for the end of the subscription's digest and carries all that came up meanwhile; only
    what is critical goes at once, and takes along what waits.
    """
    found: dict[Listener, list[Due]] = {}
    for *listener, id_, incident_id, change, at_us, attempts in db.rows(_WAITING, (now_us, PAGE)):
        found.setdefault(Listener(*listener), []).append(Due(id_, incident_id, change, at_us, attempts))
    return found


def letters_of(db: Database, listener: Listener, notices: Sequence[Due], timezone: str, url: str) -> list[Letter]:
    """A letter for each address of a subscription. Raises NotSent when it has none."""
    news = [(get_incident(db, notice.incident_id), notice.change) for notice in notices]
    one = (listener.chat, listener.language)
    if listener.target or listener.channel != "email":
        return [compose(listener.channel, listener.target, *one, news, timezone, url)]
    letters = []
    for email, role, organisation_id in db.rows(
        "SELECT email, role, organisation_id FROM \"user\" WHERE email <> '' AND NOT disabled ORDER BY id"
    ):
        if not Role(role).includes(Role(listener.role)):
            continue
        own = {id_ for (id_,) in db.rows("SELECT id FROM building WHERE organisation_id = ?", (organisation_id,))}
        seen = [pair for pair in news if organisation_id is None or pair[0].building_id in own]
        if seen:
            letters.append(compose("email", email, *one, seen, timezone, url))
    if not letters:
        raise NotSent(f"nobody with the role {listener.role} has a mail address")
    return letters


async def send_due(db: Database, carry: Carrier, now_us: int, timezone: str, url: str = "") -> int:
    """Send what is due, one letter an address. Returns how many letters went out.

    Of several addresses one is enough: those that it did not reach are named, and not told again with the others.
    """
    sent = 0
    for listener, notices in (await db.run(due, db, now_us)).items():
        problems: list[NotSent] = []
        letters: list[Letter] = []
        try:
            letters = await db.run(letters_of, db, listener, notices, timezone, url)
        except NotSent as error:
            problems.append(error)
        for letter in letters:
            try:
                await carry(letter)
            except NotSent as error:
                log.warning("notice not sent", subscription=listener.id, reason=str(error))
                problems.append(error)
        reason = "; ".join(dict.fromkeys(map(str, problems)))
        if len(problems) < max(len(letters), 1):
            sent += len(letters) - len(problems)
            await db.run(_sent, db, listener, notices, reason, now_us)
        else:
            for_good = all(problem.for_good for problem in problems)
            await db.run(_failed, db, notices, reason, for_good, now_us)
    return sent


def _sent(db: Database, listener: Listener, notices: Sequence[Due], error: str, now_us: int) -> None:
    with db.transaction() as connection:
        connection.executemany(
            "UPDATE notice SET state = 'sent', sent_at_us = ?, error = ? WHERE id = ?",
            [(now_us, error[:500], n.id) for n in notices],
        )
        connection.execute("UPDATE subscription SET told_at_us = ? WHERE id = ?", (now_us, listener.id))


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
    mail["Date"], mail["Message-ID"] = format_datetime(datetime.now(UTC)), make_msgid(domain="meterwan")
    mail["Auto-Submitted"] = "auto-generated"
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
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        raise NotSent(f"refused: {error}", for_good=min(codes) >= FOR_GOOD) from error
    except smtplib.SMTPResponseException as error:
        raise NotSent(f"refused: {error}", for_good=error.smtp_code >= FOR_GOOD) from error
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
