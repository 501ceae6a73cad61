"""Files made for download: kept a while, handed out from disk, cut short ones deleted."""

from __future__ import annotations

import asyncio

import pytest
from starlette.applications import Starlette

from errors import PlatformError
from tabs import export_files
from tabs.export_files import ExportFolder


def made(folder, name="a.csv", text=b"x,y\n1,2\n"):
    def write(out):
        out.write(text)
        return 1

    return folder.make(name, write, lambda: False)


@pytest.fixture
def folder(monkeypatch):
    fresh = ExportFolder(kept=2)
    monkeypatch.setattr(export_files, "folder", fresh)
    return fresh


def get(path):
    """What the server answers: status, headers, body."""
    app, sent = Starlette(routes=[export_files.route()]), []
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(),
             "query_string": b"", "headers": [], "http_version": "1.1", "scheme": "http",
             "server": ("localhost", 80), "root_path": ""}  # fmt: skip

    async def receive():
        await asyncio.Event().wait()  # the browser neither says more nor hangs up

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    headers = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(m.get("body", b"") for m in sent[1:])


def place(file):
    token, name = file.address.removeprefix(f".{export_files.ADDRESS}/").split("/")
    return token, name


def test_a_file_is_handed_out_as_an_attachment_and_only_to_who_has_its_address(folder):
    file = made(folder)
    status, headers, body = get(file.address.removeprefix("."))
    assert (status, body) == (200, b"x,y\n1,2\n")
    assert headers["content-disposition"] == 'attachment; filename="a.csv"'
    assert (file.rows, file.size) == (1, 8)
    token, _ = place(file)
    for wrong in (f"{token}/other.csv", "nobody/a.csv", f"{token}/../{token}/a.csv"):
        assert get(f"{export_files.ADDRESS}/{wrong}")[0] == 404


def test_only_the_newest_files_are_kept(folder):
    files = [made(folder, f"{n}.csv") for n in range(3)]
    found = [folder.find(*place(f)) for f in files]
    assert found[0] is None
    assert found[1].exists()
    assert found[2].exists()


def test_a_cancelled_or_failed_export_leaves_no_file(folder):
    with pytest.raises(PlatformError, match="cancelled"):
        folder.make("a.csv", lambda out: out.write(b"half"), lambda: True)

    def fails(out):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        folder.make("a.csv", fails, lambda: False)
    assert list(folder._folder.iterdir()) == []
