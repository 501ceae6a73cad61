"""A file of text that somebody else made, opened with care and read line by line.

Nothing is taken on trust: not the size, not the encoding, not that an archive holds one plain
file. Whatever is wrong becomes a `BadInput` with a sentence, early, and nothing is unpacked to
disk, so that a name inside an archive is only ever a name.
"""

from __future__ import annotations

import codecs
import gzip
import io
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO, cast

from errors import BadInput

_HEAD = 65_536
_ROWS_TO_JUDGE_BY = 100
_ARCHIVES = (b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"BZh", b"\xfd7zXZ")
_BINARY = (
    b"SQLite format 3\0",
    b"PAR1",
    b"%PDF",
    b"\x89PNG",
    b"\x7fELF",
    b"MZ",
    b"\xd0\xcf\x11\xe0",
)
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What is read at most.

    The expansion of an archive is judged from ``ratio_from_bytes`` on: small files of zeros are
    no danger.
    """

    max_bytes: int = 4 << 30
    max_unpacked_bytes: int = 40 << 30
    max_ratio: int = 200
    ratio_from_bytes: int = 16 << 20
    max_line_chars: int = 65_536
    max_columns: int = 64
    max_rows: int = 1_000_000_000


FILE_LIMITS = Limits()
"""For a file the user has on this machine."""

UPLOAD_LIMITS = Limits(max_bytes=200 << 20, max_unpacked_bytes=2 << 30, max_rows=20_000_000)
"""For what comes through the browser."""

Source = str | os.PathLike[str] | BinaryIO
"""A path, or an open binary file such as an upload."""


class _Counted(io.RawIOBase):
    """A binary stream that knows how many bytes were read of it, and stops past the limit."""

    def __init__(self, stream: BinaryIO, total: int, allowed_bytes: int) -> None:
        self._stream, self._allowed_bytes = stream, allowed_bytes
        self.total, self.read_bytes = total, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            data = self._stream.read(len(buffer))
        except (zipfile.BadZipFile, zlib.error, EOFError, gzip.BadGzipFile) as problem:
            raise BadInput(f"The archive is damaged: {problem}.") from None
        buffer[: len(data)] = data
        self.read_bytes += len(data)
        if self.read_bytes > self._allowed_bytes:
            raise _too_large(self._allowed_bytes)
        return len(data)


@dataclass(slots=True)
class OpenText:
    """The lines of an opened file, numbered from 1, and how far they are read."""

    name: str
    lines: Iterator[str]
    limits: Limits
    _counted: _Counted

    @property
    def fraction(self) -> float:
        """The share of the file that has been read."""
        counted = self._counted
        return min(1.0, counted.read_bytes / counted.total) if counted.total else 0.0


@contextmanager
def open_text(
    source: Source, name: str | None = None, limits: Limits = FILE_LIMITS
) -> Iterator[OpenText]:
    """Open a plain, gzipped or zipped text file.

    Parameters
    ----------
    source : path or binary file
    name : str or None
        What the user calls it; only its last part is used, and never as a path.

    Raises
    ------
    BadInput
        Too large, damaged, binary, an archive in an archive, or of no known encoding.
    """
    with ExitStack() as stack:
        raw, total, label = _open_raw(source, name, stack)
        if total > limits.max_bytes:
            raise _too_large(limits.max_bytes)
        if total == 0:
            raise BadInput(f"{label} is empty.")
        head = raw.read(8)
        raw.seek(0)
        packed, allowed = head.startswith((b"PK", b"\x1f\x8b")), limits.max_unpacked_bytes
        if head.startswith(b"PK"):
            raw, total, label = _open_zip(raw, label, limits, stack)
        elif head.startswith(b"\x1f\x8b"):
            # Gzip does not say beforehand how large it becomes.
            allowed = min(allowed, max(limits.ratio_from_bytes, total * limits.max_ratio))
            raw = cast(BinaryIO, stack.enter_context(gzip.GzipFile(fileobj=raw)))
            label, total = label.removesuffix(".gz"), total * 6
        counted = _Counted(raw, total, allowed)
        buffered = io.BufferedReader(counted, 1 << 18)
        start = buffered.peek(_HEAD)[:_HEAD]
        encoding = _encoding(start, label, packed)
        if not head.startswith(b"\x1f\x8b"):  # the size is known
            _refuse_too_many_rows(start, total, label, limits)
        text = io.TextIOWrapper(buffered, encoding, errors="replace")
        yield OpenText(label, _lines(text, limits), limits, counted)


def _open_raw(source: Source, name: str | None, stack: ExitStack) -> tuple[BinaryIO, int, str]:
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if not path.is_file():
            raise BadInput(f"{path} is not a file that can be read.")
        try:
            raw = cast(BinaryIO, stack.enter_context(path.open("rb")))
        except OSError as problem:
            raise BadInput(f"{path} cannot be read: {problem.strerror}.") from None
        return raw, path.stat().st_size, last_part(name or path.name)
    total = source.seek(0, os.SEEK_END)
    source.seek(0)
    return source, total, last_part(name or getattr(source, "name", "") or "The file")


def last_part(name: str) -> str:
    """The last part of a name that may be a path of any system."""
    return PureWindowsPath(PurePosixPath(str(name)).name).name[:200] or "The file"


def _open_zip(
    raw: BinaryIO, label: str, limits: Limits, stack: ExitStack
) -> tuple[BinaryIO, int, str]:
    with _zip_problems(label):
        archive = stack.enter_context(zipfile.ZipFile(raw))
    member = _only_member(archive.infolist(), label)
    if member.flag_bits & 1:
        raise BadInput(f"{label} is encrypted; give the file without a password.")
    if member.file_size > limits.max_unpacked_bytes:
        raise _too_large(limits.max_unpacked_bytes)
    expanded = member.file_size / max(1, member.compress_size)
    if expanded > limits.max_ratio and member.file_size > limits.ratio_from_bytes:
        raise BadInput(
            f"{label} would grow {expanded:,.0f}-fold when unpacked; no table of prices does, "
            f"{limits.max_ratio} is allowed."
        )
    with _zip_problems(label):
        opened = stack.enter_context(archive.open(member))
    return cast(BinaryIO, opened), member.file_size, last_part(member.filename)


@contextmanager
def _zip_problems(label: str) -> Iterator[None]:
    """What is wrong with a zip archive, in a sentence."""
    try:
        yield
    except RuntimeError as problem:
        # zipfile's for what it knows of and cannot unpack: a later version, another compression.
        raise BadInput(
            f"{label} is packed in a way that cannot be unpacked here ({problem}); "
            "pack it as a plain zip, or give the file itself."
        ) from None
    except (zipfile.BadZipFile, EOFError, OSError, ValueError) as problem:
        raise BadInput(f"{label} is not a sound zip archive: {problem}.") from None


def _only_member(members: list[zipfile.ZipInfo], label: str) -> zipfile.ZipInfo:
    files = [
        m for m in members
        if not m.is_dir() and not m.filename.startswith("__MACOSX/")
        and not m.filename.upper().endswith(".CHECKSUM")
    ]  # fmt: skip
    if len(files) != 1:
        raise BadInput(f"{label} holds {len(files):,} files; one is expected.")
    name = files[0].filename
    parts = PureWindowsPath(name).parts
    if ".." in parts or name.startswith(("/", "\\")) or PureWindowsPath(name).drive:
        raise BadInput(f"{label} holds a file whose name leads out of its folder; it is refused.")
    return files[0]


def _too_large(limit: int) -> BadInput:
    return BadInput(f"The file is larger than the {limit / (1 << 20):,.0f} MB that are allowed.")


def _encoding(head: bytes, label: str, packed: bool) -> str:
    if head.startswith(_ARCHIVES):
        inside = " inside an archive" if packed else ""
        raise BadInput(f"{label} is an archive{inside}; give the plain file, zipped at most once.")
    if head.startswith(_BINARY):
        raise BadInput(f"{label} is not a text file; CSV or NDJSON is expected.")
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            return encoding
    nulls = head.count(0)
    if nulls:
        even = head[::2].count(0)
        if nulls * 3 < len(head) or min(even, nulls - even) > nulls // 10:
            raise BadInput(f"{label} is not a text file; CSV or NDJSON is expected.")
        return "utf-16-be" if even > nulls - even else "utf-16-le"
    try:
        # A character may be cut in two at the end of what was looked at.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def _refuse_too_many_rows(start: bytes, total: int, label: str, limits: Limits) -> None:
    """Say at once what would otherwise be found after minutes: by its size it has too many rows.

    The rows seen stand for all; a fifth above the limit is left to be counted.
    """
    rows = start.count(b"\n")
    if rows < _ROWS_TO_JUDGE_BY:
        return
    expected = total * rows / len(start)
    if expected > 1.2 * limits.max_rows:
        raise BadInput(
            f"{label} has about {float(f'{expected:.2g}'):,.0f} rows, by its size; at most "
            f"{limits.max_rows:,} are read at once. Split it into smaller files."
        )


def _lines(text: io.TextIOWrapper, limits: Limits) -> Iterator[str]:
    number = 0
    while line := text.readline(limits.max_line_chars + 1):
        number += 1
        if len(line) > limits.max_line_chars:
            raise BadInput(
                f"Line {number:,} is longer than the {limits.max_line_chars:,} characters that "
                "are allowed; this is not a table."
            )
        yield line
