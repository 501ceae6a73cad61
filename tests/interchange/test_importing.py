"""Files into the database: once, in part, cancelled, hostile."""

import codecs
import gzip
import io
import json
import time
import zipfile
from pathlib import Path

import pytest

from errors import BadInput, MixedPrints
from interchange.importing import import_file
from interchange.source import UPLOAD_LIMITS, Limits, last_part

SHARED = Path(__file__).parents[2] / "../shared/data"
START_MS = 1_723_161_300_000
NOW_MS = 1_900_000_000_000


def upload(text, name):
    file = io.BytesIO(text if isinstance(text, bytes) else text.encode())
    file.name = name
    return file


def zipped(*members, name="upload.zip", **options):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, body in members:
            archive.writestr(member, body)
    file.name = name
    return file


def archive_rows(n, first=1, start_ms=START_MS):
    maker = ("false", "true")
    return "".join(
        f"{first + k},{100 + k % 7}.5,0.25,{k},{k},{start_ms + 40 * k},{maker[k % 2]}\n"
        for k in range(n)
    )


def count(db, table="ticks"):
    with db.snapshot() as snapshot:
        return snapshot.count(table)


def test_an_archive_goes_in_once_with_progress_and_a_report(db):
    text = archive_rows(25_000)
    seen = []
    file = zipped(("BTCUSDT-aggTrades-2024-08-08.csv", text))
    report = import_file(db, file, progress=seen.append)
    assert (report.what, report.rows, report.taken, report.duplicates) == (
        "ticks",
        25_000,
        25_000,
        0,
    )
    assert report.symbols == ("btcusdt",)
    assert report.start_ms == START_MS
    assert seen == sorted(seen)
    assert len(seen) == 4
    assert seen[-1] == 1.0
    again = import_file(db, file)
    assert (again.taken, again.duplicates) == (0, 25_000)
    assert count(db) == 25_000
    assert again.sentence == (
        "BTCUSDT-aggTrades-2024-08-08.csv: 0 of 25,000 ticks taken, 25,000 changed nothing."
    )


def test_prints_without_ids_go_in_once_and_equal_ones_stay_two(db):
    rows = "".join(f"btcusdt,{START_MS + k // 3},7,1\n" for k in range(21_000))
    text = "symbol,timestamp,price,size\n" + rows
    assert import_file(db, upload(text, "a.csv")).taken == 21_000
    assert import_file(db, upload(text, "a.csv")).duplicates == 21_000


def test_bad_rows_are_reported_with_their_lines(db):
    text = (
        "symbol,time,price,qty\nbtcusdt,1723161300000,1,1\nbtcusdt,1723161300000,0,1\nx\n\n,5,1,1\n"
    )
    report = import_file(db, upload(text, "a.csv"))
    assert report.taken == 1
    assert {r.reason: r.first_lines for r in report.refused} == {
        "price not positive and finite": (3,),
        "too few columns": (4,),
        "symbol": (6,),
    }
    assert "refused for" in report.sentence
    assert report.refused_rows == 3


def test_a_cancelled_import_keeps_what_it_read_and_goes_on_later(db):
    file = upload(archive_rows(35_000), "BTCUSDT-aggTrades-2024-08-08.csv")
    report = import_file(db, file, cancelled=lambda: True)
    assert report.taken == 10_000
    assert "cancelled" in report.stopped
    report = import_file(db, file)
    assert (report.taken, report.duplicates, report.stopped) == (25_000, 10_000, "")


def test_kinds_do_not_meet(db):
    import_file(db, upload(archive_rows(5), "BTCUSDT-aggTrades-2024-08-08.csv"))
    with pytest.raises(MixedPrints):
        import_file(db, upload("1,5,1,5,1723161300000,true\n", "BTCUSDT-trades-2024-08-08.csv"))


def test_recorded_frames_go_in_and_their_candles_are_those_of_the_frames(db):
    path = SHARED / "binance-usdm-2024-08-08/ethusdt-trade-frames.ndjson.gz"
    if not path.exists():
        pytest.skip("the recordings are not beside this checkout")
    report = import_file(db, path)
    assert (report.taken, report.refused) == (14_076, ())
    lines = gzip.decompress(path.read_bytes()).splitlines()
    prints = [json.loads(line)["data"] for line in lines]
    with db.snapshot() as snapshot:
        columns = snapshot.candle_columns("ethusdt", "1min", limit=100)
    for open_ms, high, close in zip(columns.open_ms, columns.high, columns.close, strict=True):
        inside = [float(p["p"]) for p in prints if open_ms <= p["T"] < open_ms + 60_000]
        assert (high, close) == (max(inside), inside[-1])


# -- candles ---------------------------------------------------------------------------------

KLINE = "{t},1.0,3.0,0.5,2.0,10,{e},0,5,0,0,0\n"


def klines(n, start=START_MS, step=60_000, scale=1):
    return "".join(KLINE.format(t=(start + k * step) * scale, e=start + k * step + step - 1)
                   for k in range(n))  # fmt: skip


@pytest.mark.parametrize("scale", [1, 1000])
def test_klines_of_the_archive_go_in_and_make_longer_candles(db, scale):
    file = zipped(("BTCUSDT-1m-2024-08-08.csv", klines(30, scale=scale)))
    report = import_file(db, file, now_ms=NOW_MS)
    assert (report.what, report.taken) == ("candles", 30)
    assert import_file(db, file, now_ms=NOW_MS).duplicates == 30
    with db.snapshot() as snapshot:
        assert snapshot.candle_columns("btcusdt", "5min").volume.tolist() == [50.0] * 6
        assert snapshot.candle_columns("btcusdt", "15min").volume.tolist() == [50, 150, 100]


def test_real_klines_go_in(db):
    path = SHARED / "klines-1m-2025-10-29/BTCUSDT-1m.csv.gz"
    if not path.exists():
        pytest.skip("the recordings are not beside this checkout")
    report = import_file(db, path, now_ms=NOW_MS)
    assert (report.taken, report.refused, report.symbols) == (4320, (), ("btcusdt",))


def test_an_upload_tells_its_timeframe_by_its_rows(db):
    text = "Date;Open;High;Low;Close;Volume\n" + "".join(
        f"2024-08-{d:02d} 00:00:00;1;2;0.5;1.5;7\n" for d in range(1, 11)
    )
    report = import_file(db, upload(text, "gold.csv"), symbol="gold", now_ms=NOW_MS)
    assert report.taken == 10
    with db.snapshot() as snapshot:
        assert len(snapshot.candle_columns("gold", "1d")) == 10


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2024-08-08T00:00:30Z,1,2,0.5,1,1", "time is not a boundary of 1min"),
        ("2034-08-08T00:00:00Z,1,2,0.5,1,1", "candle is not closed yet"),
        ("2024-08-08T00:00:00Z,1,0.9,0.5,1,1", "open or close outside of low and high"),
        ("2024-08-08T00:00:00Z,1,2,0.5,1,-1", "volume is negative or not finite"),
        ("2024-08-08T00:00:00Z,1,2,0.5,1,nan", "volume is negative or not finite"),
        ("2024-08-08T00:00:00Z,nan,2,0.5,1,1", "price not positive and finite"),
        ("2024-08-08T00:00:00Z,1,2,0.5", "too few columns"),
    ],
)
def test_candles_that_do_not_hold_together_are_refused(db, row, reason):
    text = f"timestamp,open,high,low,close,volume\n{row}\n"
    report = import_file(
        db, upload(text, "a.csv"), symbol="x", timeframe="1min", now_ms=1_800_000_000_000
    )
    assert [r.reason for r in report.refused] == [reason]
    assert count(db, "ohlc_data") == 0


@pytest.mark.parametrize(
    ("text", "options", "match"),
    [
        ("timestamp,open,high,low,close,volume\n1,1,1,1,1,1\n", {}, "which symbol"),
        ("timestamp,open,high,low,close,volume\n1,1,1,1,1,1\n", {"symbol": "x"}, "timeframe"),
        ("timestamp,open,high,low,close,volume\n1,1,1,1,1,1\n",
         {"symbol": "x", "timeframe": "7min"}, "7min"),
        ("a,b,c\n1,2,3\n", {}, "no column timestamp or price or size"),
        ("1,2,3\n", {}, "has no header"),
        ("price,size,time\n1,1,1\n", {}, "which symbol"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(db, text, options, match):
    with pytest.raises(BadInput, match=match):
        import_file(db, upload(text, "a.csv"), **options)


# -- encodings -------------------------------------------------------------------------------

PLAIN = "symbol,timestamp,price,size,note\nbtcusdt,1723161300000,1.5,2,Zürich\n"


@pytest.mark.parametrize(
    "raw",
    [
        PLAIN.encode(),
        PLAIN.encode("utf-8-sig"),
        PLAIN.encode("latin-1"),
        PLAIN.encode("utf-16"),
        codecs.BOM_UTF16_BE + PLAIN.encode("utf-16-be"),
        PLAIN.encode("utf-16-le"),
        PLAIN.encode("utf-16-be"),
        PLAIN.encode("utf-32"),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace("\n", "\r").encode(),
        PLAIN.replace(",", ";").encode(),
        PLAIN.replace(",", "\t").encode(),
        ("\n\n" + PLAIN).encode(),
    ],
)
def test_odd_encodings_and_line_ends_are_read(db, raw):
    assert import_file(db, upload(raw, "a.csv")).taken == 1


# -- hostile files ---------------------------------------------------------------------------


def bomb():
    return zipped(("a.csv", b"0" * (300 << 20)))


def many_rows():
    return zipped(("a.csv", b"symbol,timestamp,price,size\n" + b"1,1,1,1\n" * 4_000_000))


def damaged():
    body = bytearray(zipped(("a.csv", archive_rows(20_000))).getvalue())
    body[5000:5100] = b"\xff" * 100
    return upload(bytes(body), "BTCUSDT-aggTrades-2024-08-08.zip")


def in_directory(offset, value):
    """A zip whose directory says something else of its file."""
    body = bytearray(zipped(("a.csv", "x")).getvalue())
    body[body.index(b"PK\x01\x02") + offset] = value
    return upload(bytes(body), "a.zip")


HEAD = "symbol,timestamp,price,size\n"
HOSTILE = {
    "a zip bomb": bomb,
    "a gzip bomb": lambda: upload(gzip.compress(b"a,b,c\n" * 20_000_000, 1), "a.gz"),
    "rows that cannot be used": many_rows,
    "a zip in a zip": lambda: zipped(("b.zip", zipped(("a.csv", "x")).getvalue())),
    "a gzip in a zip": lambda: zipped(("a.csv", gzip.compress(b"x"))),
    "a zip in a gzip": lambda: upload(gzip.compress(zipped(("a", "x")).getvalue()), "a.gz"),
    "a name that leads out": lambda: zipped(("../../etc/passwd.csv", HEAD)),
    "an absolute name": lambda: zipped(("/etc/passwd.csv", HEAD)),
    "a drive": lambda: zipped(("C:\\\\x.csv", HEAD)),
    "several files": lambda: zipped(("a.csv", "x"), ("b.csv", "x")),
    "an empty zip": lambda: zipped(),
    "a damaged zip": damaged,
    "a cut zip": lambda: upload(zipped(("a.csv", archive_rows(999))).getvalue()[:-90], "a.zip"),
    "a cut gzip": lambda: upload(gzip.compress(archive_rows(9999).encode())[:-900],
                                 "BTCUSDT-aggTrades-2024-08-08.csv.gz"),
    "an encrypted zip": lambda: in_directory(8, 1),
    "an unknown compression": lambda: in_directory(10, 97),
    "a later zip": lambda: in_directory(6, 99),
    "nothing": lambda: upload(b"", "a.csv"),
    "blank lines": lambda: upload(b"\n" * 100_000, "a.csv"),
    "a picture": lambda: upload(b"\x89PNG\r\n\x1a\n" + bytes(1000), "a.csv"),
    "a database": lambda: upload(b"SQLite format 3\0" + bytes(1000), "a.csv"),
    "random bytes": lambda: upload(bytes(range(256)) * 1000, "a.csv"),
    "zeros": lambda: upload(bytes(1_000_000), "a.csv"),
    "one long line": lambda: upload(b"a," * 5_000_000, "a.csv"),
    "many columns": lambda: upload(b"a," * 10_000 + b"\n", "a.csv"),
    "a header alone": lambda: upload("open,high\n", "a.csv"),
    "deep json": lambda: upload(('{"a":' * 5000 + "\n") * 3000, "a.ndjson"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_becomes_a_sentence_within_two_seconds(db, what):
    file = HOSTILE[what]()
    begun = time.process_time()
    with pytest.raises(BadInput) as caught:
        import_file(db, file, name="../../x/upload.csv", symbol=None, limits=UPLOAD_LIMITS)
    assert time.process_time() - begun < 2
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert len(sentence) < 500
    assert count(db) == 0 or what in ("a damaged zip", "a cut gzip")


@pytest.mark.parametrize(("offset", "value"), [(10, 97), (6, 99)])
def test_a_zip_that_is_sound_and_cannot_be_unpacked_is_told_apart_from_a_broken_one(
    db, offset, value
):
    with pytest.raises(BadInput, match="packed in a way that cannot be unpacked here"):
        import_file(db, in_directory(offset, value), limits=UPLOAD_LIMITS)


def test_sizes_and_rows_are_limited(db):
    text = archive_rows(30_000)
    name = "BTCUSDT-aggTrades-2024-08-08.csv"
    with pytest.raises(BadInput, match="larger than the 1 MB"):
        import_file(db, upload(text, name), limits=Limits(max_bytes=1 << 20))
    with pytest.raises(BadInput, match="larger than the 1 MB"):
        import_file(db, zipped((name, text)), limits=Limits(max_unpacked_bytes=1 << 20))
    few = Limits(max_rows=15_000)
    for packed in (upload(text, name), zipped((name, text))):
        with pytest.raises(BadInput, match="about 3.,000 rows, by its size; at most 15,000 are"):
            import_file(db, packed, limits=few)
    assert count(db) == 0
    # What cannot be told by the size is read up to the limit.
    report = import_file(db, upload(gzip.compress(text.encode()), f"{name}.gz"), limits=few)
    assert report.stopped == "only 15,000 rows are read at once"
    assert report.taken == 20_000


@pytest.mark.parametrize(
    ("name", "last"),
    [("a/b.csv", "b.csv"), ("..\\..\\b.csv", "b.csv"), ("C:\\x\\b.csv", "b.csv"), ("", "The file"),
     ("/", "The file"), ("x" * 999, "x" * 200)],
)  # fmt: skip
def test_a_name_is_only_ever_its_last_part(name, last):
    assert last_part(name) == last
