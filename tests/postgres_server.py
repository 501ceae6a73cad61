"""A PostgreSQL server of a test's own: Debian's programs, a temporary cluster, a free port."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from urllib.parse import quote

USER, PASSWORD = "desk", "p@ss:w/rd %25"
_PLACES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def programs() -> Path | None:
    """Where initdb and postgres are, or None."""
    for place in _PLACES:
        if (place / "initdb").exists() and (place / "postgres").exists():
            return place
    found = shutil.which("initdb")
    return Path(found).parent if found and shutil.which("postgres") else None


class PostgresServer:
    """A running server on loopback with every commit flushed to the disk.

    PostgreSQL refuses to run as root, so that there it runs as the user its package made.

    Parameters
    ----------
    certificate : bytes, optional
        The server's key and its chain, as PEM: it then speaks TLS, and nothing else.
    """

    def __init__(self, certificate: bytes | None = None) -> None:
        place = programs()
        assert place is not None
        self._programs = place
        self._home = Path(tempfile.mkdtemp(prefix="pg-"))
        self._as = {"user": "postgres", "group": "postgres", "extra_groups": []}
        if os.geteuid() == 0:
            shutil.chown(self._home, "postgres", "postgres")
        else:
            self._as = {}
        self._data = self._home / "data"
        self._log = (self._home / "log").open("ab")
        self._process: subprocess.Popen[bytes] | None = None
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.port = found.getsockname()[1]
        password = self._home / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        command = [
            str(place / "initdb"), "-D", str(self._data), "-U", USER, "--pwfile", str(password),
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync",
        ]  # fmt: skip
        subprocess.run(command, check=True, cwd=self._home, stdout=self._log, **self._as)
        self._tls = [] if certificate is None else self._with_tls(certificate)
        self.start()

    def _with_tls(self, certificate: bytes) -> list[str]:
        file = self._home / "server.pem"
        file.write_bytes(certificate)
        file.chmod(0o600)
        if self._as:
            shutil.chown(file, "postgres", "postgres")
        rules = self._data / "pg_hba.conf"
        rules.write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
        return [
            option
            for setting in ("ssl=on", f"ssl_cert_file={file}", f"ssl_key_file={file}")
            for option in ("-c", setting)
        ]

    def start(self) -> None:
        """Start it, and wait until it answers; after a kill its remains may be in the way."""
        for _ in range(40):
            self._process = subprocess.Popen(
                [
                    str(self._programs / "postgres"), "-D", str(self._data), "-p", str(self.port),
                    "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
                    "-c", "fsync=on", "-c", "max_connections=60", "-c", "shared_buffers=128MB",
                    "-c", "log_min_messages=fatal", *self._tls,
                ],
                cwd=self._home, stdout=self._log, stderr=self._log, **self._as,
            )  # fmt: skip
            if self._answers():
                return
            time.sleep(0.25)
        raise AssertionError(f"PostgreSQL does not start: {(self._home / 'log').read_text()}")

    def _answers(self) -> bool:
        import psycopg

        assert self._process is not None
        end_s = time.monotonic() + 30
        while time.monotonic() < end_s and self._process.poll() is None:
            try:
                psycopg.connect(self.url("public"), connect_timeout=2).close()
                return True
            except psycopg.OperationalError:
                time.sleep(0.05)
        return False

    def url(self, schema: str) -> str:
        """The address of a schema."""
        secret = quote(PASSWORD, safe="")
        suffix = "" if schema == "public" else f"?schema={schema}"
        return f"postgresql://{USER}:{secret}@127.0.0.1:{self.port}/postgres{suffix}"

    def new_schema(self) -> str:
        """The address of a schema that nobody has used."""
        return self.url(f"t{uuid.uuid4().hex[:12]}")

    def run(self, statement: str) -> list[tuple[object, ...]]:
        """Run one statement as the owner."""
        import psycopg

        with psycopg.connect(self.url("public"), autocommit=True) as con:
            cursor = con.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def kill(self) -> None:
        """``kill -9`` of the server; what it started ends by itself."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def cut_connections(self) -> int:
        """End every connection but this one's; how many there were."""
        return len(
            self.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
        )

    def close(self) -> None:
        """Stop it and delete the cluster."""
        if self._process is not None and self._process.poll() is None:
            # At once: nobody will read what a checkpoint would write.
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
        self._log.close()
        shutil.rmtree(self._home, ignore_errors=True)
