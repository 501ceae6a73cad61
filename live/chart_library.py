"""The chart library, with what the desk's charts are drawn with and nothing else.

Plotly's own file makes some forty kinds of traces ready before it draws anything, maps and globes
among them; the desk draws four. The file is a row of modules, each in a function that runs when it
is first called for, and the last of them calls for every kind of trace in one list. Here that list
is shortened, and modules that nothing calls for any more are left out: a fresh browser has its
first chart in a third of the time. What is served is made of the file in the installed package; a
file that is built in another way, by a later release, is served as it is, and so it is where the
browser cannot run what was left (`live/chart.js`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# Lines and points are in Plotly's core.
TRACES = ("bar", "candlestick", "heatmap")

_MODULE = re.compile(r";var ([\w$]+)=W\((?:[\w$]+|\((?:[\w$]+(?:,[\w$]+)?)?\))=>\{")
_CALL = re.compile(r"([\w$]+)\(\)")
_KINDS = re.compile(r"\.register\(\[((?:[\w$]+\(\),?)+)\]\)")
_PASSED_ON = re.compile(r"exports=([\w$]+)\(\)\}\)$")
_NAME = re.compile(r'moduleType:"trace",name:"(\w+)"')
# A module of the newer sort stands beside the text of its function, in no order one could rely on.
_NEWER = "=Ea("


def reduced(library: str, traces: tuple[str, ...] = TRACES) -> str | None:
    """The library's text with these kinds of traces alone.

    Parameters
    ----------
    library : str
        Text of ``plotly.min.js``.
    traces : tuple of str
        Plotly's names of the kinds to keep, besides ``scatter``.

    Returns
    -------
    str or None
        None where the text is not built as expected: not all of the kinds were found in it.
    """
    heads = list(_MODULE.finditer(library))
    if not heads:
        return None
    begins = [head.start() for head in heads]
    ends = [*begins[1:], len(library)]
    modules = {h[1]: library[a:b] for h, a, b in zip(heads, begins, ends, strict=True)}
    last = heads[-1][1]
    listed = _KINDS.search(modules[last])
    if listed is None or len(modules) != len(heads):
        return None
    kinds = {_kind(modules, call): call for call in _CALL.findall(listed[1])}
    if not kinds.keys() >= set(traces):
        return None
    kept = ",".join(f"{kinds[trace]}()" for trace in traces)
    modules[last] = modules[last][: listed.start(1)] + kept + modules[last][listed.end(1) :]
    before = library[: begins[0]]
    needed = _called_for(modules, before, last)
    return before + "".join(text for name, text in modules.items() if name in needed)


def _kind(modules: Mapping[str, str], name: str) -> str | None:
    """The kind of trace that a module of the list hands on."""
    passed_on = _PASSED_ON.search(modules.get(name, ""))
    found = _NAME.search(modules.get(passed_on[1], "")) if passed_on else None
    return found[1] if found else None


def _called_for(modules: Mapping[str, str], before: str, last: str) -> set[str]:
    """Modules that may run: what looks like a call of one counts, wherever it stands."""
    needed = {last} | {name for name, text in modules.items() if _NEWER in text}
    waiting = [before, *(modules[name] for name in needed)]
    while waiting:
        called = set(_CALL.findall(waiting.pop())) & (modules.keys() - needed)
        needed |= called
        waiting += [modules[name] for name in called]
    return needed
