"""Out of the database and in again: nothing is lost, and no spreadsheet runs a cell."""

import io
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import interchange.exporting as exporting
from database import Database
from errors import BadInput
from interchange.exporting import csv_cell, export_candles, export_ticks
from interchange.importing import import_file
from ticks import Tick, TickBatch

START_MS = 1_723_161_300_000
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def db(new_place, monkeypatch):
    monkeypatch.setattr(exporting, "_CHUNK_ROWS", 700)
    with Database(new_place()) as opened:
        ticks = [
            Tick("btcusdt", START_MS + 700 * k, 0.1 * k + 1e-7, 1 / (k + 3), 10**12 + k, k % 2 == 0)
            for k in range(3000)
        ]
        opened.write(TickBatch.from_ticks(ticks))
        plain = [Tick("-gold", START_MS + 40 * (k // 2), 5.0, 1.0) for k in range(1000)]
        opened.write(TickBatch.from_ticks(plain))
        yield opened


def everything(db):
    with db.snapshot() as snapshot:
        frame = snapshot.ticks(limit=10**6).drop(columns="id")
        kinds = {s.symbol: s.print_kind for s in snapshot.symbols()}
    return frame.sort_values(list(frame.columns)).reset_index(drop=True), kinds


def test_ticks_exported_as_csv_and_imported_are_the_same(db, new_place):
    out = io.BytesIO()
    assert export_ticks(db, out, ["btcusdt", "-gold", "none"]) == 4000
    assert not out.closed
    out.seek(0)
    with Database(new_place()) as other:
        assert import_file(other, out, name="ticks.csv").taken == 4000
        pd.testing.assert_frame_equal(everything(other)[0], everything(db)[0], check_exact=True)
        assert everything(other)[1] == everything(db)[1]
    assert import_file(db, out, name="ticks.csv").duplicates == 4000


def test_ticks_exported_as_parquet_are_those_of_the_csv(db):
    table, text = io.BytesIO(), io.BytesIO()
    window = {"start_ms": START_MS + 100_000, "end_ms": START_MS + 900_000}
    count = export_ticks(db, table, ["btcusdt"], **window, file_format="parquet")
    assert count == export_ticks(db, text, ["btcusdt"], **window)
    frame = pd.read_parquet(io.BytesIO(table.getvalue()))
    other = pd.read_csv(io.BytesIO(text.getvalue()), parse_dates=["timestamp"])
    assert len(frame) == count == 1143
    for column in ("symbol", "price", "size", "trade_id", "print_kind"):
        assert frame[column].tolist() == other[column].tolist()
    assert (frame["timestamp"] == other["timestamp"]).all()
    assert frame["is_buyer_maker"].astype(int).tolist() == other["is_buyer_maker"].tolist()


@pytest.mark.parametrize("timeframe", ["1s", "1min", "15min"])
@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_candles_exported_are_those_stored(db, timeframe, file_format):
    out = io.BytesIO()
    count = export_candles(db, out, ["btcusdt"], timeframe, file_format=file_format)
    raw = io.BytesIO(out.getvalue())
    frame = pd.read_csv(raw) if file_format == "csv" else pd.read_parquet(raw)
    with db.snapshot() as snapshot:
        stored = snapshot.candles(["btcusdt"], timeframe, limit=10**6)
    assert len(frame) == count == len(stored)
    for column in ("open", "high", "low", "close", "volume"):
        assert frame[column].tolist() == stored[column].tolist()
    assert (pd.to_datetime(frame["timestamp"], utc=True) == stored["timestamp"]).all()


def test_an_export_can_be_cut_to_a_window_and_cancelled(db):
    out = io.BytesIO()
    window = {"start_ms": START_MS + 60_500, "end_ms": START_MS + 180_001}
    assert export_candles(db, out, ["btcusdt"], "1min", **window) == 2
    assert export_candles(db, io.BytesIO(), ["btcusdt"], "1s", cancelled=lambda: True) == 0
    assert export_candles(db, io.BytesIO(), ["none"], "1s") == 0
    with pytest.raises(BadInput, match="'xls' is not a format"):
        export_ticks(db, out, ["btcusdt"], file_format="xls")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "=cmd|'/c calc'!A0"])
def test_text_that_a_spreadsheet_would_run_is_neutralised(text):
    assert csv_cell(text).lstrip('"').startswith("'")


@given(st.floats(allow_nan=False) | st.integers())
def test_numbers_stay_numbers(number):
    assert type(number)(csv_cell(number)) == number


def test_progress_rises_to_the_end_and_says_how_many_rows(db):
    told = []
    export_ticks(
        db, io.BytesIO(), ["btcusdt", "-gold"], progress=lambda share, note: told.append(share)
    )
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0, abs=1e-3)
    assert len(told) >= 6
    notes = []
    export_candles(
        db, io.BytesIO(), ["btcusdt"], "1s", progress=lambda share, note: notes.append(note)
    )
    assert notes[-1].endswith(" rows")


@pytest.mark.nightly
@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_two_million_ticks_are_exported_in_little_memory(tmp_path, file_format):
    """Peak memory of a process that does nothing else; the export alone may add 60 MB."""
    import subprocess
    import sys

    path = tmp_path / "many.db"
    with Database(path) as opened:
        for first in range(0, 2_100_000, 100_000):
            ids = range(first, first + 100_000)
            opened.write(
                TickBatch(
                    "aggTrade",
                    ["btcusdt"] * 100_000,
                    [START_MS + 100 * k for k in ids],
                    [60_000 + (k % 977) * 0.1 for k in ids],
                    [0.001 * (1 + k % 50) for k in ids],
                    [10**9 + k for k in ids],
                    [k % 2 == 0 for k in ids],
                )
            )
    script = (
        "import resource, sys\n"
        "import pyarrow.parquet\n"
        "from database import Database\n"
        "from interchange.exporting import export_ticks\n"
        "held = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3\n"
        "with Database(sys.argv[1]) as db, open(sys.argv[2], 'wb') as out:\n"
        "    export_ticks(db, out, ['btcusdt'], end_ms=int(sys.argv[4]), file_format=sys.argv[3])\n"
        "    before = held()\n"
        "    rows = export_ticks(db, out, ['btcusdt'], file_format=sys.argv[3])\n"
        "    print(rows, held() - before)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script, str(path), str(tmp_path / "out"), file_format,
         str(START_MS + 100 * 50_000)],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    rows, added_mb = answer.stdout.split()
    assert int(rows) == 2_100_000
    assert float(added_mb) < 60
