"""Messages to the outside: webhooks (generic JSON, Slack, Discord, Telegram) and e-mail.

A webhook's host is resolved once; unless a setting allows it, an address that is not public is
refused; the connection goes to the address that was checked; a redirect is not followed. What is
secret (addresses with their tokens, passwords) never enters a result, an error or a log line.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import smtplib
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import certifi

from errors import BadInput

Format = Literal["generic", "slack", "discord", "telegram"]
FORMATS: tuple[Format, ...] = ("generic", "slack", "discord", "telegram")
TIMEOUT_S = 10.0
RETRY_S = (5.0, 30.0, 120.0, 600.0)
"""Waits before the second, third, … attempt; after the last the delivery has failed."""
_LONGEST_ANSWER = 2_000


class Outcome(NamedTuple):
    """What one attempt came to; ``detail`` is safe to show, ``retry`` says whether to try again."""

    ok: bool
    detail: str
    retry: bool = False


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where to post; ``url`` is a secret and stays out of ``repr``.

    ``chat_id`` is Telegram's. ``allow_private`` permits hosts within one's own network.
    """

    url: str = field(repr=False)
    format: Format = "generic"
    chat_id: str = ""
    allow_private: bool = False

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadInput("A webhook is an http:// or https:// address with a host.")
        if parts.username or parts.password:
            raise BadInput("A webhook's address holds no user name; put tokens into its path.")
        if self.format not in FORMATS:
            raise BadInput(f"A webhook's format is one of {', '.join(FORMATS)}.")
        if self.format == "telegram" and not self.chat_id:
            raise BadInput("A Telegram webhook needs the chat to write to.")

    @property
    def place(self) -> str:
        """The host alone, which is no secret."""
        return urlsplit(self.url).hostname or ""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An SMTP server and who writes to whom; STARTTLS where offered, TLS at once on port 465."""

    host: str
    port: int = 587
    user: str = ""
    password: str = field(default="", repr=False)
    sender: str = ""
    to: str = ""

    def __post_init__(self) -> None:
        if not self.host or not self.to:
            raise BadInput("E-mail needs a server and somebody to write to.")
        if "\n" in self.to + self.sender or "\r" in self.to + self.sender:
            raise BadInput("An e-mail address is one line.")


@dataclass(frozen=True, slots=True)
class Message:
    """What happened: a subject, a sentence, and the values behind it."""

    subject: str
    text: str
    values: Mapping[str, Any] = field(default_factory=dict)


def webhook_body(message: Message, webhook: Webhook) -> dict[str, Any]:
    """The JSON that the receiver expects."""
    plain = f"{message.subject}\n{message.text}"
    if webhook.format == "slack":
        escaped = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return {"text": escaped}
    if webhook.format == "discord":
        return {"content": plain[:2000], "allowed_mentions": {"parse": []}}
    if webhook.format == "telegram":
        return {"chat_id": webhook.chat_id, "text": plain[:4096]}
    return {"subject": message.subject, "text": message.text, **message.values}


# -- addresses -------------------------------------------------------------------------------


def is_public(address: str) -> bool:
    """Whether an IP address is out on the internet: not loopback, private, link-local, reserved."""
    ip = ipaddress.ip_address(address.split("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


def checked_address(host: str, port: int, *, allow_private: bool) -> str:
    """The one IP address to connect to.

    Raises
    ------
    BadInput
        One of the host's addresses is not public, and that is not allowed.
    OSError
        The name cannot be resolved.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    inside = [a for a in addresses if not is_public(a)]
    if inside and not allow_private:
        raise BadInput(
            f"The webhook's host {host} is at {inside[0]}, which is not a public address; "
            "set ALERT_ALLOW_PRIVATE to 1 to allow hosts of your own network."
        )
    return addresses[0]


class _PinnedConnection(http.client.HTTPConnection):
    """Connects to the address that was checked, and speaks to the host of that name."""

    def __init__(self, host: str, port: int, address: str, *, tls: bool, timeout_s: float) -> None:
        super().__init__(host, port, timeout=timeout_s)
        self._address, self._tls = address, tls

    def connect(self) -> None:
        """Open the socket, and TLS on it under the host's name."""
        self.sock = socket.create_connection((self._address, self.port), self.timeout)
        if self._tls:
            context = ssl.create_default_context(cafile=certifi.where())
            self.sock = context.wrap_socket(self.sock, server_hostname=self.host)


# -- sending ---------------------------------------------------------------------------------


def post(message: Message, webhook: Webhook, *, timeout_s: float = TIMEOUT_S) -> Outcome:
    """One attempt at a webhook; never raises for what the other side or the network does."""
    parts = urlsplit(webhook.url)
    tls = parts.scheme == "https"
    host = parts.hostname or ""
    try:
        port = parts.port or (443 if tls else 80)
        address = checked_address(host, port, allow_private=webhook.allow_private)
    except BadInput as error:
        return Outcome(False, str(error))
    except (OSError, UnicodeError):
        return Outcome(False, f"The name {host} could not be resolved.", retry=True)
    except ValueError:
        return Outcome(False, "The webhook's port is not a number below 65,536.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    data = json.dumps(webhook_body(message, webhook), allow_nan=False).encode()
    connection = _PinnedConnection(host, port, address, tls=tls, timeout_s=timeout_s)
    try:
        connection.request(
            "POST",
            path,
            data,
            {"Content-Type": "application/json", "User-Agent": "crypto-analytics-platform"},
        )
        response = connection.getresponse()
        response.read(_LONGEST_ANSWER)
        return _judged(response.status, host)
    except TimeoutError:
        return Outcome(False, f"{host} did not answer within {timeout_s:g} s.", retry=True)
    except ssl.SSLError:
        return Outcome(False, f"{host} has no certificate that can be trusted.")
    except (OSError, http.client.HTTPException) as error:
        # The type alone: an error's text may hold the address, and the address is a secret.
        return Outcome(False, f"{host} could not be reached ({type(error).__name__}).", retry=True)
    finally:
        connection.close()


def _judged(status: int, host: str) -> Outcome:
    if 200 <= status < 300:
        return Outcome(True, f"{host} took it (HTTP {status}).")
    if 300 <= status < 400:
        return Outcome(False, f"{host} redirects (HTTP {status}); redirects are not followed.")
    retry = status in (408, 425, 429) or status >= 500
    return Outcome(False, f"{host} refused it (HTTP {status}).", retry=retry)


def mail(message: Message, mailbox: Mailbox, *, timeout_s: float = TIMEOUT_S) -> Outcome:
    """One attempt at e-mail; never raises for what the other side or the network does."""
    letter = _letter(message, mailbox)
    context = ssl.create_default_context(cafile=certifi.where())
    try:
        with _smtp(mailbox, context, timeout_s) as server:
            if not isinstance(server, smtplib.SMTP_SSL):
                server.ehlo()
                if server.has_extn("starttls"):
                    server.starttls(context=context)
                    server.ehlo()
                elif mailbox.password and not _is_here(mailbox.host):
                    return Outcome(
                        False, f"{mailbox.host} offers no TLS; the password was not sent."
                    )
            if mailbox.user:
                server.login(mailbox.user, mailbox.password)
            server.send_message(letter)
        return Outcome(True, f"{mailbox.host} took it.")
    except smtplib.SMTPAuthenticationError:
        return Outcome(False, f"{mailbox.host} refused the user name or password.")
    except smtplib.SMTPResponseException as error:
        retry = 400 <= error.smtp_code < 500
        return Outcome(False, f"{mailbox.host} refused it (SMTP {error.smtp_code}).", retry=retry)
    except smtplib.SMTPRecipientsRefused:
        return Outcome(False, f"{mailbox.host} refused the recipient.")
    except TimeoutError:
        return Outcome(False, f"{mailbox.host} did not answer within {timeout_s:g} s.", retry=True)
    except ssl.SSLError:
        return Outcome(False, f"{mailbox.host} has no certificate that can be trusted.")
    except (OSError, smtplib.SMTPException) as error:
        return Outcome(
            False, f"{mailbox.host} could not be reached ({type(error).__name__}).", retry=True
        )


def _smtp(mailbox: Mailbox, context: ssl.SSLContext, timeout_s: float) -> smtplib.SMTP:
    if mailbox.port == 465:
        return smtplib.SMTP_SSL(mailbox.host, mailbox.port, timeout=timeout_s, context=context)
    return smtplib.SMTP(mailbox.host, mailbox.port, timeout=timeout_s)


def _is_here(host: str) -> bool:
    return host in ("localhost", "127.0.0.1", "::1")


def _letter(message: Message, mailbox: Mailbox) -> EmailMessage:
    letter = EmailMessage()
    letter["Subject"] = " ".join(message.subject.split())[:200]
    letter["From"] = mailbox.sender or mailbox.user or f"alerts@{mailbox.host}"
    letter["To"] = mailbox.to
    letter["Date"] = formatdate()
    letter["Message-ID"] = make_msgid(domain="alerts.invalid")
    values = "\n".join(f"{key}: {value}" for key, value in message.values.items())
    letter.set_content(f"{message.text}\n\n{values}\n")
    return letter


# -- channels --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Channels:
    """The channels that are set up: ``webhook`` and ``email``; None where one is not."""

    webhook: Webhook | None = None
    email: Mailbox | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Those that can be sent to."""
        pairs = (("webhook", self.webhook), ("email", self.email))
        return tuple(name for name, channel in pairs if channel is not None)

    def describe(self, name: str) -> str:
        """A channel for the page, without its secrets."""
        if name == "webhook" and self.webhook is not None:
            return f"webhook to {self.webhook.place} ({self.webhook.format})"
        if name == "email" and self.email is not None:
            return f"e-mail to {self.email.to} through {self.email.host}"
        return name

    def send(self, name: str, message: Message, *, timeout_s: float = TIMEOUT_S) -> Outcome:
        """One attempt at one channel."""
        if name == "webhook" and self.webhook is not None:
            return post(message, self.webhook, timeout_s=timeout_s)
        if name == "email" and self.email is not None:
            return mail(message, self.email, timeout_s=timeout_s)
        return Outcome(False, f"The channel {name} is not set up any more.")


def channels_of(config: Any) -> Channels:
    """The channels that the settings name.

    Raises
    ------
    BadInput
        A setting cannot be used, in a sentence without secrets.
    """
    webhook = email = None
    if config.ALERT_WEBHOOK_URL:
        webhook = Webhook(
            config.ALERT_WEBHOOK_URL,
            config.ALERT_WEBHOOK_FORMAT,
            config.ALERT_TELEGRAM_CHAT,
            config.ALERT_ALLOW_PRIVATE,
        )
    if config.SMTP_HOST and config.ALERT_EMAIL_TO:
        email = Mailbox(
            config.SMTP_HOST,
            config.SMTP_PORT,
            config.SMTP_USER,
            config.SMTP_PASSWORD,
            config.ALERT_EMAIL_FROM,
            config.ALERT_EMAIL_TO,
        )
    return Channels(webhook, email)
