"""What a job runs on: named arrays, fixed when it begins, read where a task is done.

In this process they are the arrays themselves; for other processes of one machine they are files
that each maps into its memory; for workers elsewhere they are rows in PostgreSQL. In every case
they are the numbers of the moment the job was begun: candles mended since change no half of it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from computing.encoding import Arrays, decoded, encoded
from database import Database
from errors import ComputeError
from storage import job_store

Array = NDArray[Any]
_PARAMETERS = "parameters.json"


class Inputs(Protocol):
    """Named arrays of a job, and its parameters."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What was asked, as plain data."""
        ...

    def whole(self, name: str) -> Array:
        """An array."""
        ...

    def row(self, name: str, place: int) -> Array:
        """One row of it, without the rest."""
        ...


@dataclass(frozen=True, eq=False)
class Held:
    """Arrays in this process's memory."""

    parameters: Mapping[str, Any]
    arrays: Mapping[str, Array]

    def whole(self, name: str) -> Array:
        """An array."""
        return self.arrays[name]

    def row(self, name: str, place: int) -> Array:
        """One row of it."""
        return self.arrays[name][place]


@dataclass(frozen=True)
class Files:
    """A folder with one ``.npy`` file an array, mapped into memory and shared between processes."""

    folder: str

    def opened(self) -> Inputs:
        """The arrays, not read before they are used.

        Raises
        ------
        ComputeError
            The folder is not there: deleted, or on another machine.
        """
        folder = Path(self.folder)
        try:
            parameters = json.loads((folder / _PARAMETERS).read_text(encoding="utf-8"))
            arrays = {p.stem: np.load(p, mmap_mode="r") for p in folder.glob("*.npy")}
        except (OSError, ValueError) as error:
            raise ComputeError(
                f"The candles of this job cannot be read from {folder} ({error}). They are files "
                "of the machine that began it: workers on other machines need DATABASE_URL set to "
                "PostgreSQL."
            ) from error
        return Held(parameters, arrays)


@dataclass(frozen=True)
class Rows:
    """Rows of a job in a database that workers reach by its address."""

    address: str = field(repr=False)
    job_id: str

    def opened(self) -> Inputs:
        """The arrays, fetched when they are used."""
        return Fetched(Database(self.address, read_only=True), self.job_id)


@dataclass(frozen=True, eq=False)
class Fetched:
    """Arrays of a job in a database."""

    database: Database
    job_id: str
    kept: dict[str, Array] = field(default_factory=dict)

    @cached_property
    def parameters(self) -> Mapping[str, Any]:
        """What was asked, as plain data."""
        with self.database.snapshot() as snapshot:
            job = snapshot.books(job_store.one, self.job_id)
        if job is None:
            raise ComputeError(f"The job {self.job_id} was deleted.")
        return dict(job.parameters)

    def whole(self, name: str) -> Array:
        """An array; kept, since each task of a scan needs it."""
        if name not in self.kept:
            rows = [decoded(text) for text in self._texts(name, None)]
            first = rows[0]
            self.kept[name] = (
                first["all"] if "all" in first else np.stack([row["row"] for row in rows])
            )
        return self.kept[name]

    def row(self, name: str, place: int) -> Array:
        """One row of it; not kept, since there may be hundreds of long ones."""
        return decoded(self._texts(name, place)[0])["row"]

    def _texts(self, name: str, place: int | None) -> list[str]:
        with self.database.snapshot() as snapshot:
            texts = snapshot.books(job_store.input_rows, self.job_id, name, place)
        if not texts:
            raise ComputeError(f"The candles of the job {self.job_id} are no longer there.")
        return texts


Source = Files | Rows | Held | Fetched


@lru_cache(maxsize=4)
def opened(source: Source) -> Inputs:
    """The arrays of a source; opened once a process for all tasks of a job."""
    return source if isinstance(source, Held | Fetched) else source.opened()


def source_of(database: Database, job_id: str) -> Files | Rows:
    """Where a job of this database has its arrays."""
    address = database.address
    return Files(str(_folder(database, job_id))) if address is None else Rows(address, job_id)


def keep(database: Database, job_id: str, parameters: Mapping[str, Any], arrays: Arrays) -> None:
    """Put a job's arrays where whoever works on it will find them."""
    if database.address is not None:
        keep_rows(database, job_id, arrays)
        return
    folder = _folder(database, job_id)
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)
    (folder / _PARAMETERS).write_text(json.dumps(parameters), encoding="utf-8")


def forget(database: Database, job_id: str) -> None:
    """Delete the files of a job; its rows go with the job."""
    if database.address is None:
        shutil.rmtree(_folder(database, job_id), ignore_errors=True)


def _folder(database: Database, job_id: str) -> Path:
    path = database.path.absolute()
    return path.with_name(f"{path.stem}_jobs") / job_id


def keep_rows(database: Database, job_id: str, arrays: Arrays) -> None:
    """Store a job's arrays row by row."""
    for name, array in arrays.items():
        with database.transaction() as con:
            if array.ndim < 2:
                job_store.put_input(con, job_id, name, 0, encoded({"all": array}))
                continue
            for place, row in enumerate(array):
                job_store.put_input(con, job_id, name, place, encoded({"row": row}))
