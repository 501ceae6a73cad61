"""Every setting comes from the environment; a bad value is one line saying what is allowed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import config
from config import SETTINGS, Config, read_settings
from errors import ConfigError

ROOT = Path(config.__file__).parent


def test_the_defaults_are_those_documented():
    values = read_settings({})
    expected = {
        "DB_PATH": "crypto_ticks.db",
        "BINANCE_WS_BASE": "wss://fstream.binance.com",
        "BINANCE_REST_BASE": "https://fapi.binance.com",
        "BINANCE_STREAM": "aggTrade",
        "BUFFER_SIZE": 10000,
        "BATCH_SIZE": 100,
        "BATCH_INTERVAL_MS": 250,
        "REFRESH_INTERVAL": 3000,
        "DEFAULT_TIMEFRAME": "1min",
        "DEFAULT_ROLLING_WINDOW": 20,
        "DEFAULT_SYMBOLS": ["btcusdt", "ethusdt"],
        "DATA_SOURCE": "live",
        "BACKFILL_MINUTES": 30,
        "DATA_RETENTION_HOURS": 168,
        "MAKER_FEE_BPS": 2.0,
        "TAKER_FEE_BPS": 5.0,
        "SLIPPAGE_BPS": 1.0,
    }
    assert {key: values[key] for key in expected} == expected


def test_every_setting_is_listed_once_and_declared():
    variables = [s.variable for s in SETTINGS]
    attributes = [s.attribute for s in SETTINGS]
    assert len(set(variables)) == len(variables)
    assert len(set(attributes)) == len(attributes)
    assert set(attributes) <= set(Config.__annotations__)
    assert all(s.meaning and s.allowed for s in SETTINGS)


def test_blank_values_are_as_good_as_none():
    assert read_settings({"BUFFER_SIZE": "  "})["BUFFER_SIZE"] == 10000


@pytest.mark.parametrize(
    ("address", "base"),
    [
        ("wss://fstream.binance.com/ws", "wss://fstream.binance.com"),
        ("wss://fstream.binance.com/stream/", "wss://fstream.binance.com"),
        ("wss://fstream.binance.com/market/ws", "wss://fstream.binance.com"),
        ("wss://fstream.binance.com/public/stream", "wss://fstream.binance.com"),
        ("ws://127.0.0.1:9001/", "ws://127.0.0.1:9001"),
        ("ws://proxy.example/binance/ws", "ws://proxy.example/binance"),
    ],
)
def test_an_address_is_a_base_of_any_host(address, base):
    assert read_settings({"BINANCE_WS_URL": address})["BINANCE_WS_BASE"] == base


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BUFFER_SIZE", "many"),
        ("BUFFER_SIZE", "1"),
        ("BATCH_SIZE", "0"),
        ("BATCH_SIZE", "1e3"),
        ("REFRESH_INTERVAL", "-1"),
        ("DEFAULT_TIMEFRAME", "7min"),
        ("DEFAULT_TIMEFRAME", "2min"),
        ("DEFAULT_SYMBOLS", "btc usdt"),
        ("DEFAULT_SYMBOLS", ","),
        ("DATA_SOURCE", "paper"),
        ("BINANCE_STREAM", "depth"),
        ("BINANCE_WS_URL", "https://fstream.binance.com"),
        ("BINANCE_WS_URL", "fstream.binance.com"),
        ("BINANCE_WS_URL", "wss://host:99999"),
        ("BINANCE_REST_URL", "ftp://x"),
        ("TAKER_FEE_BPS", "nan"),
        ("SLIPPAGE_BPS", "inf"),
        ("REPLAY_SPEED", "0"),
        ("CRYPTO_DB_PATH", "a\0b"),
        ("DASK_SCHEDULER", "host:8786"),
        ("DASK_SCHEDULER", "tcp://host"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(variable, value):
    (setting,) = (s for s in SETTINGS if s.variable == variable)
    with pytest.raises(ConfigError) as caught:
        read_settings({variable: value})
    text = str(caught.value)
    assert text.startswith(f"{variable} is {value!r}; allowed is ")
    assert setting.allowed in text
    assert "\n" not in text


def test_names_of_choices_may_be_in_any_case():
    values = read_settings(
        {
            "DATA_SOURCE": "DEMO",
            "BINANCE_STREAM": "aggtrade",
            "DEFAULT_TIMEFRAME": "1T",
            "DEFAULT_SYMBOLS": " BTCUSDT,btcusdt",
        }
    )
    assert values["DATA_SOURCE"] == "demo"
    assert values["BINANCE_STREAM"] == "aggTrade"
    assert values["DEFAULT_TIMEFRAME"] == "1min"
    assert values["DEFAULT_SYMBOLS"] == ["btcusdt"]


def test_a_bad_value_changes_nothing():
    before = Config.BUFFER_SIZE
    with pytest.raises(ConfigError):
        Config.load({"BUFFER_SIZE": "500", "BATCH_SIZE": "x"})
    assert before == Config.BUFFER_SIZE


def test_a_bad_value_stops_the_start_with_one_line():
    done = subprocess.run(
        [sys.executable, "-c", "import config"],
        cwd=ROOT,
        env={**os.environ, "BUFFER_SIZE": "lots"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("BUFFER_SIZE is 'lots'; allowed is a whole number from 100 to")
