"""Pages of tabs, run without a browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import pytest


@pytest.fixture(autouse=True, scope="package")
def the_path_is_left_alone() -> Iterator[None]:
    """A script under test is put on sys.path and taken off again, while a thread may import.

    Its import then passes over an entry. The page is served from a folder that stays there.
    """
    with pytest.MonkeyPatch.context() as patch:
        runner = "streamlit.runtime.scriptrunner.script_runner"
        patch.setattr(f"{runner}.modified_sys_path", lambda _: nullcontext())
        yield
