"""The chart library is served with the traces that the desk draws, and nothing it needs is lost."""

from __future__ import annotations

import ast
from pathlib import Path

from live import assets, chart_library

ROOT = Path(__file__).resolve().parents[2]
BEGIN = "/* Licence */var W=(e)=>e"
TINY = BEGIN + "".join(
    (
        ';var core=W((e,t)=>{"use strict";t.exports={register(){},part:shared()}})',
        ";var shared=W((e,t)=>{t.exports=1})",
        ';var barOwn=W((e,t)=>{t.exports={moduleType:"trace",name:"bar",plot:shared()}})',
        ';var bar=W((e,t)=>{"use strict";t.exports=barOwn()})',
        ";var globe=W(e=>{e.exports=2})",
        ';var mapOwn=W((e,t)=>{t.exports={moduleType:"trace",name:"map",on:globe()}})',
        ';var map=W((e,t)=>{"use strict";t.exports=mapOwn()})',
        ";var newer=W(()=>{});var beside=Ea(()=>{inside()})",
        ";var inside=W(()=>{})",
        ";var all=W((e,t)=>{var c=core();c.register([bar(),map()]);t.exports=c});return all()",
    )
)


def test_a_kind_that_is_not_wanted_goes_with_everything_that_it_alone_calls_for():
    out = chart_library.reduced(TINY, ("bar",))
    assert out is not None
    assert out.startswith(BEGIN)
    assert "c.register([bar()]);" in out
    assert out.endswith("return all()")
    for kept in ("core", "shared", "barOwn", "newer", "inside"):
        assert f"var {kept}=" in out, kept
    for left in ("mapOwn", "map", "globe"):
        assert f"var {left}=" not in out, left


def test_a_library_that_is_built_in_another_way_is_left_alone():
    assert chart_library.reduced("export const Plotly = {}", ("bar",)) is None
    assert chart_library.reduced(TINY, ("bar", "candlestick")) is None
    assert chart_library.reduced(TINY.replace(".register(", ".enrol("), ("bar",)) is None


def test_the_installed_library_is_reduced_and_keeps_its_licence():
    whole = assets._PLOTLY.read_text(encoding="utf-8")
    out = chart_library.reduced(whole)
    assert out is not None, "this release of plotly is built in another way"
    assert len(out) < 0.7 * len(whole)
    assert out[:300] == whole[:300]
    assert "MIT license" in out[:300]


def test_every_kind_of_trace_that_charts_draw_is_kept():
    drawn = set()
    for file in (ROOT / "charts").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Dict):
                drawn |= {
                    value.value
                    for key, value in zip(node.keys, node.values, strict=True)
                    if isinstance(key, ast.Constant) and key.value == "type"
                    if isinstance(value, ast.Constant)
                }
    of_axes_and_shapes = {"category", "date", "linear", "line", "rect"}
    assert drawn - of_axes_and_shapes == {"scatter", *chart_library.TRACES}
