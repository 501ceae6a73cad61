"""Files made for download: written beside the page, handed out from disk, forgotten in the end.

Streamlit's own download button holds its file in memory; these may be of any size.
"""

from __future__ import annotations

import atexit
import secrets
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from errors import PlatformError

ADDRESS = "/platform/exports"
KEPT = 5
_MEDIA = {".csv": "text/csv", ".parquet": "application/vnd.apache.parquet"}


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A finished file; whoever has its address can fetch it, as long as it is kept."""

    name: str
    rows: int
    size: int
    address: str


class ExportFolder:
    """A folder of its own for exports; only the newest `KEPT` stay."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._folder: Path | None = None
        self._files: OrderedDict[str, Path] = OrderedDict()
        self._lock = threading.Lock()

    def make(
        self, name: str, write: Callable[[BinaryIO], int], cancelled: Callable[[], bool]
    ) -> ExportedFile:
        """Let ``write`` fill a file; a file that was cut short is deleted.

        Raises
        ------
        PlatformError
            The user stopped it.
        """
        token = secrets.token_urlsafe(18)
        path = self._place(token, name)
        try:
            with path.open("wb") as out:
                rows = write(out)
            if cancelled():
                raise PlatformError("The export was cancelled; its file was deleted.")
        except BaseException:
            shutil.rmtree(path.parent, ignore_errors=True)
            raise
        with self._lock:
            self._files[token] = path
            while len(self._files) > self._kept:
                _, old = self._files.popitem(last=False)
                shutil.rmtree(old.parent, ignore_errors=True)
        return ExportedFile(name, rows, path.stat().st_size, f".{ADDRESS}/{token}/{name}")

    def _place(self, token: str, name: str) -> Path:
        with self._lock:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="crypto-analytics-exports-"))
                atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
            path = self._folder / token / name
        path.parent.mkdir()
        return path

    def find(self, token: str, name: str) -> Path | None:
        """Where the file is; None where it is kept no longer or never was."""
        with self._lock:
            path = self._files.get(token)
        return path if path is not None and path.name == name and path.exists() else None


folder = ExportFolder()


def route() -> Route:
    """Hands out finished files, piece by piece from disk."""

    async def serve(request: Any) -> Response:
        token, name = request.path_params["token"], request.path_params["name"]
        path = folder.find(token, name)
        if path is None:
            return PlainTextResponse("This export is kept no longer; make it again.", 404)
        return FileResponse(path, media_type=_MEDIA.get(path.suffix), filename=name)

    return Route(ADDRESS + "/{token}/{name}", serve)
