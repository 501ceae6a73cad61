"""The units that docs/scaling.md gives are ones that systemd takes."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[1] / "docs" / "scaling.md").read_text(encoding="utf-8")
UNITS = {
    re.search(r"/etc/systemd/system/([\w-]+\.service)", block)[1]: block
    for block in re.findall(r"```ini\n(.*?)```", TEXT, re.DOTALL)
}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_one_that_systemd_takes(name, tmp_path):
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for program in ("python", "dask", "streamlit"):
        (programs / program).write_text("#!/bin/sh\n")
        (programs / program).chmod(0o755)
    (tmp_path / name).write_text(UNITS[name].replace("/opt/platform", str(tmp_path)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / name)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_started_again_however_often_it_fails(name):
    assert "Restart=always" in UNITS[name]
    assert "StartLimitIntervalSec=0" in UNITS[name].split("[Service]")[0]
    assert "Wants=network-online.target" in UNITS[name]
