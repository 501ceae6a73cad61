"""`Config`: every setting, read from the environment once and validated at the start.

``SETTINGS`` is the single list of what can be set; README's table is held to it by a test.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from candles import CHART_TIMEFRAMES, canonical_timeframe
from errors import BadInput, ConfigError
from ticks import clean_symbols

Parser = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Setting:
    """One environment variable.

    ``parse`` turns its text into the value and raises ValueError where it is not allowed;
    ``allowed`` is that rule in words. The value of a ``secret`` one is never shown.
    """

    variable: str
    attribute: str
    default: str
    parse: Parser
    allowed: str
    meaning: str
    secret: bool = False


def _whole(low: int, high: int) -> Parser:
    def parse(text: str) -> int:
        number = int(text)
        if not low <= number <= high:
            raise ValueError(text)
        return number

    return parse


def _decimal(low: float, high: float) -> Parser:
    def parse(text: str) -> float:
        number = float(text)
        if not low <= number <= high:
            raise ValueError(text)
        return number

    return parse


def _choice(*options: str) -> Parser:
    def parse(text: str) -> str:
        for option in options:
            if text.lower() == option.lower():
                return option
        raise ValueError(text)

    return parse


def _base_url(*schemes: str) -> Parser:
    """An address of any host; a trailing ``/ws`` or ``/stream`` is dropped, the route is ours."""

    def parse(text: str) -> str:
        parts = urlsplit(text)
        if parts.scheme not in schemes or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(text)
        # Reading the port raises ValueError where it is not a number below 65,536.
        _ = parts.port
        path = parts.path.rstrip("/")
        for route in ("/ws", "/stream"):
            path = path.removesuffix(route)
        for route in ("/market", "/public"):
            path = path.removesuffix(route)
        return f"{parts.scheme}://{parts.netloc}{path.rstrip('/')}"

    return parse


def _webhook(text: str) -> str:
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError(text)
    _ = parts.port
    return text


def _scheduler(text: str) -> str:
    parts = urlsplit(text)
    if text and (
        parts.scheme not in ("tcp", "tls") or not parts.hostname or not parts.port or parts.path
    ):
        raise ValueError(text)
    return text


def _database_url(text: str) -> str:
    parts = urlsplit(text)
    if text and parts.scheme not in ("postgresql", "postgres"):
        raise ValueError(text)
    return text


def _flag(text: str) -> bool:
    if text.lower() not in ("0", "1", "false", "true", "no", "yes"):
        raise ValueError(text)
    return text.lower() in ("1", "true", "yes")


def _timeframe(text: str) -> str:
    timeframe = canonical_timeframe(text)
    if timeframe not in CHART_TIMEFRAMES:
        raise ValueError(text)
    return timeframe


def _text(text: str) -> str:
    if "\0" in text:
        raise ValueError(text)
    return text


def _path(text: str) -> str:
    if not text.strip() or "\0" in text:
        raise ValueError(text)
    return text


_WHOLE = "a whole number from {:,} to {:,}"
_NUMBER = "a number from {:g} to {:g}"


def _whole_setting(
    variable: str, attribute: str, default: str, low: int, high: int, meaning: str
) -> Setting:
    return Setting(
        variable, attribute, default, _whole(low, high), _WHOLE.format(low, high), meaning
    )


def _bps_setting(variable: str, default: str, meaning: str) -> Setting:
    return Setting(variable, variable, default, _decimal(0, 1000), _NUMBER.format(0, 1000), meaning)


SETTINGS: tuple[Setting, ...] = (
    Setting("CRYPTO_DB_PATH", "DB_PATH", "crypto_ticks.db", _path, "a file name",
            "SQLite file of the live market; demo and replay have files of their own beside it"),
    Setting("DATABASE_URL", "DATABASE_URL", "", _database_url,
            "a postgresql:// address, or nothing for the SQLite file",
            "PostgreSQL server in place of the file; demo and replay have schemas of their own",
            secret=True),
    Setting("BINANCE_WS_URL", "BINANCE_WS_BASE", "wss://fstream.binance.com",
            _base_url("ws", "wss"), "a ws:// or wss:// address",
            "base address of the streams; the route is chosen by the platform"),
    Setting("BINANCE_REST_URL", "BINANCE_REST_BASE", "https://fapi.binance.com",
            _base_url("http", "https"), "an http:// or https:// address",
            "base address of the REST interface"),
    Setting("BINANCE_STREAM", "BINANCE_STREAM", "aggTrade", _choice("aggTrade", "trade"),
            "aggTrade or trade", "kind of print to collect; `trade` is undocumented by Binance"),
    _whole_setting("BUFFER_SIZE", "BUFFER_SIZE", "10000", 100, 10_000_000,
                   "ticks that may wait in memory between socket and writer"),
    _whole_setting("BATCH_SIZE", "BATCH_SIZE", "100", 1, 100_000,
                   "the writer flushes when so many ticks wait"),
    _whole_setting("BATCH_INTERVAL_MS", "BATCH_INTERVAL_MS", "250", 10, 60_000,
                   "or when so many milliseconds have passed"),
    _whole_setting("REFRESH_INTERVAL", "REFRESH_INTERVAL", "3000", 250, 600_000,
                   "milliseconds between refreshes of the page"),
    Setting("DEFAULT_TIMEFRAME", "DEFAULT_TIMEFRAME", "1min", _timeframe,
            "one of " + ", ".join(CHART_TIMEFRAMES), "timeframe of the charts at the start"),
    _whole_setting("DEFAULT_ROLLING_WINDOW", "DEFAULT_ROLLING_WINDOW", "20", 2, 100_000,
                   "candles in a rolling window at the start"),
    Setting("DEFAULT_SYMBOLS", "DEFAULT_SYMBOLS", "btcusdt,ethusdt", clean_symbols,
            "symbols separated by commas", "symbols chosen at the start"),
    Setting("DATA_SOURCE", "DATA_SOURCE", "live", _choice("live", "demo", "replay"),
            "live, demo or replay", "source chosen at the start"),
    Setting("REPLAY_PATH", "REPLAY_PATH", "", _text,
            "a file or a folder of recorded frames, or nothing for the sample shipped",
            "recording that the replay source plays"),
    Setting("REPLAY_SPEED", "REPLAY_SPEED", "1", _decimal(0.01, 1000),
            _NUMBER.format(0.01, 1000), "how many times faster than it was recorded"),
    _whole_setting("BACKFILL_MINUTES", "BACKFILL_MINUTES", "30", 0, 2880,
                   "minutes of past trades fetched on Start (Binance keeps 48 hours)"),
    _whole_setting("DATA_RETENTION_HOURS", "DATA_RETENTION_HOURS", "168", 1, 87_600,
                   "ticks older than this are deleted; candles stay"),
    Setting("ARCHIVE_PATH", "ARCHIVE_PATH", "", _text, "a folder, or nothing",
            "where whole days of ticks are kept as Parquet before they are deleted"),
    _bps_setting("MAKER_FEE_BPS", "2", "fee of a resting order, basis points of notional"),
    _bps_setting("TAKER_FEE_BPS", "5", "fee of a crossing order, basis points of notional"),
    _bps_setting("SLIPPAGE_BPS", "1", "slippage of a crossing order, basis points of price"),
    Setting("FUNDING_RATE_BPS", "FUNDING_RATE_BPS", "1", _decimal(-1000, 1000),
            _NUMBER.format(-1000, 1000),
            "paper funding per 8 hours while the exchange's own is not known, basis points"),
    Setting("MAINTENANCE_MARGIN_PCT", "MAINTENANCE_MARGIN_PCT", "0.5", _decimal(0, 50),
            _NUMBER.format(0, 50), "paper maintenance margin, percent of a position's value"),
    Setting("ALERT_WEBHOOK_URL", "ALERT_WEBHOOK_URL", "", _webhook,
            "an http:// or https:// address", "where alerts are posted; nothing: nowhere",
            secret=True),
    Setting("ALERT_WEBHOOK_FORMAT", "ALERT_WEBHOOK_FORMAT", "generic",
            _choice("generic", "slack", "discord", "telegram"),
            "generic, slack, discord or telegram", "what the webhook's receiver expects"),
    Setting("ALERT_TELEGRAM_CHAT", "ALERT_TELEGRAM_CHAT", "", _text, "a chat's id",
            "Telegram chat that alerts are written to"),
    Setting("ALERT_ALLOW_PRIVATE", "ALERT_ALLOW_PRIVATE", "0", _flag, "0 or 1",
            "allow webhooks at loopback, private and link-local addresses"),
    Setting("SMTP_HOST", "SMTP_HOST", "", _text, "a host name",
            "e-mail server for alerts; nothing: no e-mail"),
    _whole_setting("SMTP_PORT", "SMTP_PORT", "587", 1, 65_535, "its port; 465 is TLS at once"),
    Setting("SMTP_USER", "SMTP_USER", "", _text, "a user name", "user name at the e-mail server"),
    Setting("SMTP_PASSWORD", "SMTP_PASSWORD", "", _text, "a password",
            "password at the e-mail server", secret=True),
    Setting("ALERT_EMAIL_FROM", "ALERT_EMAIL_FROM", "", _text, "an e-mail address",
            "sender of alerts; nothing: the user name"),
    Setting("ALERT_EMAIL_TO", "ALERT_EMAIL_TO", "", _text, "an e-mail address",
            "receiver of alerts; nothing: no e-mail"),
    Setting("DASK_SCHEDULER", "DASK_SCHEDULER", "", _scheduler,
            "a tcp:// or tls:// address with a port",
            "Dask scheduler that scans, sweeps and walk-forwards go to; nothing: this machine"),
)  # fmt: skip


def read_settings(environment: Mapping[str, str]) -> dict[str, Any]:
    """Every setting's value by attribute name.

    Raises
    ------
    ConfigError
        One line: the variable, the value found, what is allowed.
    """
    values = {}
    for setting in SETTINGS:
        text = environment.get(setting.variable, "").strip() or setting.default
        try:
            values[setting.attribute] = setting.parse(text)
        except (ValueError, BadInput):
            found = "set to something else (not shown)" if setting.secret else repr(text)
            raise ConfigError(
                f"{setting.variable} is {found}; allowed is {setting.allowed}."
            ) from None
    return values


class Config:
    """The settings in force, as class attributes, read from the environment on import."""

    DB_PATH: str
    DATABASE_URL: str
    BINANCE_WS_BASE: str
    BINANCE_REST_BASE: str
    BINANCE_STREAM: str
    BUFFER_SIZE: int
    BATCH_SIZE: int
    BATCH_INTERVAL_MS: int
    REFRESH_INTERVAL: int
    DEFAULT_TIMEFRAME: str
    DEFAULT_ROLLING_WINDOW: int
    DEFAULT_SYMBOLS: list[str]
    DATA_SOURCE: str
    REPLAY_PATH: str
    REPLAY_SPEED: float
    BACKFILL_MINUTES: int
    DATA_RETENTION_HOURS: int
    ARCHIVE_PATH: str
    MAKER_FEE_BPS: float
    TAKER_FEE_BPS: float
    SLIPPAGE_BPS: float
    FUNDING_RATE_BPS: float
    MAINTENANCE_MARGIN_PCT: float
    ALERT_WEBHOOK_URL: str
    ALERT_WEBHOOK_FORMAT: str
    ALERT_TELEGRAM_CHAT: str
    ALERT_ALLOW_PRIVATE: bool
    SMTP_HOST: str
    SMTP_PORT: int
    SMTP_USER: str
    SMTP_PASSWORD: str
    ALERT_EMAIL_FROM: str
    ALERT_EMAIL_TO: str
    DASK_SCHEDULER: str

    @classmethod
    def load(cls, environment: Mapping[str, str]) -> None:
        """Take the settings from ``environment``; raises `ConfigError` and changes nothing."""
        for attribute, value in read_settings(environment).items():
            setattr(cls, attribute, value)


try:
    Config.load(os.environ)
except ConfigError as problem:
    # One line instead of a traceback: whoever started the platform mistyped a setting.
    raise SystemExit(str(problem)) from None
