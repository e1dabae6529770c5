"""What is shown of the library's objects: one line where printed, safe HTML in a notebook."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import columnar_nn as cnn
from columnar_nn.display.html import STYLE, bar, element, page, table
from columnar_nn.exec.stats import OperatorStats, TaskStats
from columnar_nn.exec.step_stats import StepStats
from columnar_nn.expressions.expression import Cast, Constant, Weight
from columnar_nn.model.layer_table import layers
from columnar_nn.plan.plan_node import PlanNode, nodes
from columnar_nn.shown import LINE, line

HOSTILE = '<script>alert("x")</script>\n&amp;\u202e\x00' + "y" * 200
GRAPH = cnn.load_network("plain9")
PIXELS = np.random.default_rng(0).integers(0, 256, (64, 3, 32, 32), dtype=np.uint8)
ROWS = {"id": range(64), HOSTILE: range(64), "image": PIXELS}


def hostile_graph(op_type: str = "Relu") -> cnn.Graph:
    spec = cnn.TensorSpec(f"in{HOSTILE}", (None, 3))
    node = cnn.Node(f"node{HOSTILE}", op_type, (spec.name,), (f"out{HOSTILE}",))
    return cnn.Graph(HOSTILE, (node,), (spec,), (cnn.TensorSpec(node.outputs[0], (None, 3)),), {})


def built() -> cnn.PlanBuilder:
    columns = {HOSTILE: cnn.column(HOSTILE), "logits": cnn.network(GRAPH)}
    return cnn.PlanBuilder().table_scan(ROWS).filter("id < 60").project(columns)


@pytest.fixture(scope="module")
def shown() -> dict[str, Any]:
    """One of each kind of object that shows itself."""
    plan = built().plan()
    executable = cnn.prepare(plan)
    timed, plain = executable.run(profile=True), executable.run()
    for task in (timed, plain):
        task.to_table()
    return {
        "graph": GRAPH,
        "hostile graph": hostile_graph(),
        "graph of unknown operators": hostile_graph("<script>"),
        "node": hostile_graph().nodes[0],
        "source": cnn.open_source(ROWS),
        "builder": built(),
        "builder without a plan": cnn.PlanBuilder(),
        "plan": plan,
        "query": cnn.sql_plan("SELECT count(*) AS n FROM t WHERE id > 3", t=ROWS),
        "executable": executable,
        "task before": executable.run(),
        "task": plain,
        "profiled task": timed,
        "statistics": timed.stats(),
        "statistics of nothing": TaskStats((), (), 0),
        "operator": timed.stats().operators[0],
        "plan node": timed.stats().plan_node_stats()["0"],
        "step": timed.stats().steps[0],
        "column": cnn.column(HOSTILE),
        "call": cnn.argmax(cnn.network(GRAPH)),
        "typed call": plan.expressions[1],
        "weight": Weight("w", np.zeros((1000, 1000), np.float32)),
        "constant": Constant("x" * 1000),
        "cast": Cast(cnn.column("x"), pa.int64()),
    }


NAMES = [
    *("graph", "hostile graph", "graph of unknown operators", "node", "source", "builder"),
    *("builder without a plan", "plan", "query", "executable", "task before", "task"),
    *("profiled task", "statistics", "statistics of nothing", "operator", "plan node", "step"),
    *("column", "call", "typed call", "weight", "constant", "cast"),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_repr_is_one_short_line(name: str, shown: dict[str, Any]) -> None:
    text = repr(shown[name])
    assert re.fullmatch(r"<\S.*>", text)
    assert len(text) <= LINE < 100
    assert text.isprintable()


def test_reprs_say_what_is_what(shown: dict[str, Any]) -> None:
    graph = "<Graph plain9: 16 nodes, 75,907 parameters, image Nx3x32x32 -> logits Nx10>"
    assert repr(shown["graph"]) == graph
    assert repr(GRAPH.nodes[0]) == "<Node conv1: Conv(image, conv1.weight, conv1.bias) -> conv1>"
    assert repr(shown["call"]) == "<call argmax(mat_add(...))>"
    assert repr(shown["weight"]) == "<weight w float32 [1000, 1000]>"
    assert repr(shown["task before"]).endswith(": not begun>")
    assert repr(shown["task"]).endswith(": over>")
    assert repr(shown["plan node"]).startswith("<PlanNodeStats TableScan[0]: 0 rows in, 64 out, ")
    assert repr(list(nodes(shown["query"]))[2]) == '<Filter[1] expression: gt(ROW["id"],3)>'
    assert repr(shown["builder without a plan"]) == "<PlanBuilder: no scan yet>"


def all_nodes(kind: type[PlanNode]) -> Iterator[type[PlanNode]]:
    for each in kind.__subclasses__():
        yield each
        yield from all_nodes(each)


def test_no_plan_node_has_a_repr_of_its_own() -> None:
    found = [kind for kind in all_nodes(PlanNode) if kind.__module__.startswith("columnar_nn.")]
    assert len(found) > 10
    assert [kind.__name__ for kind in found if kind.__repr__ is not PlanNode.__repr__] == []


class Page(HTMLParser):
    """The elements and the texts of a page; fails where elements do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.text += f"{data}\n"


ELEMENTS = {
    *("div", "style", "h4", "p", "table", "thead", "tbody", "tr", "th", "td", "ul", "li"),
    *("details", "summary", "b", "code", "span"),
}
PAGES = NAMES[:3] + NAMES[4:15]


@pytest.mark.parametrize("name", PAGES)
def test_html_holds_no_script_and_asks_for_nothing(name: str, shown: dict[str, Any]) -> None:
    text = shown[name]._repr_html_()
    made = Page(text)
    assert set(made.tags) <= ELEMENTS
    assert {attribute for attribute, _ in made.attributes} <= {"class", "style"}
    styles = {value for attribute, value in made.attributes if attribute == "style"}
    allowed = r"background-size:\d+\.\d% 100%|padding-left:\d+\.\de"
    assert all(re.fullmatch(f"(?:{allowed}m?)", str(style)) for style in styles)
    assert not re.search(r"url\(|@import|https?:|javascript", text)
    assert "\u202e" not in text
    assert "\x00" not in text


def test_hostile_names_are_shown_as_text(shown: dict[str, Any]) -> None:
    for name in ("hostile graph", "graph of unknown operators", "source", "plan", "executable"):
        assert '<script>alert("x")</script>\\n&amp;' in Page(shown[name]._repr_html_()).text


def test_colours_are_the_notebooks() -> None:
    """Light or dark: text has the colour of what is around it, and nothing a ground of its own."""
    colours = re.findall(r"[;{](color|background(?:-color|-image)?|border[\w-]*):([^;}]*)", STYLE)
    assert ("color", "inherit") in colours
    for attribute, value in colours:
        if attribute == "color":
            assert value == "inherit"
        elif attribute.startswith("background"):
            assert value == "none" or set(re.findall(r"rgba\([^)]*,(\.\d)\)", value)) == {".4"}
        else:
            assert value in ("0", "collapse") or "rgba(128,128,128," in value


def rows_of(text: str, number: int = 0) -> list[list[str]]:
    """The cells of a table of a page."""
    body = re.findall(r"<table>(.*?)</table>", text, re.DOTALL)[number]
    return [
        [re.sub(r"<[^>]*>", "", cell) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", body)
    ]


def test_the_layers_of_a_graph() -> None:
    heading, *rows = rows_of(GRAPH._repr_html_())
    assert heading[:3] == ["layer", "operator", "output"]
    figures = [[int(cell.replace(",", "") or 0) for cell in row[4:]] for row in rows]
    assert figures == [[layer.parameters, layer.macs] for layer in layers(GRAPH)]
    assert [row[0] for row in rows] == [node.name for node in GRAPH.nodes]
    assert rows[0][2:4] == ["Nx16x30x30", "3x3"]
    assert "3x3, pads 1, 1, 1, 1" in cnn.load_network("resnet20")._repr_html_()


def test_a_plan_is_a_tree(shown: dict[str, Any]) -> None:
    text = shown["query"]._repr_html_()
    names = re.findall(r"<b>(.*?)</b>", text)
    assert names == ["Project[3]", "Aggregation[2]", "Filter[1]", "TableScan[0]"]
    assert text.count("<ul>") == text.count("<li>") == len(names)
    folded = shown["plan"]._repr_html_()
    assert folded.count("<details>") == 3  # a name is long, and the network is longer
    assert "mat_add(mat_mul(flatten(" in folded


def test_the_statistics_of_a_task_are_those_that_it_has(shown: dict[str, Any]) -> None:
    text = shown["profiled task"]._repr_html_()
    heading, *rows = rows_of(text)
    assert heading[:3] == ["operator", "rows in", "rows out"]
    assert [row[:3] for row in rows] == [
        ["Project[2]", "60", "60"],
        ["Filter[1]", "64", "60"],
        ["TableScan[0]", "0", "64"],
    ]
    assert re.findall(r"padding-left:([\d.]+)em", text) == ["0.7", "1.9", "3.1"]
    _, *kernels = rows_of(text, 1)
    steps = shown["profiled task"].stats().steps
    assert [row[:2] for row in kernels] == [[step.label, step.kernel] for step in steps]
    assert "run(profile=True)" in shown["task"]._repr_html_()
    assert "CPU time" not in shown["task"]._repr_html_()
    assert "CPU time" in text


def test_bars_are_shares() -> None:
    def step(label: str, nanos: int) -> StepStats:
        return StepStats("1", label, "k", (2, 2), 1000, 500, 1, 1, 1, nanoseconds=nanos, rows=2)

    operator = OperatorStats("1", "Filter", 0, 0, input_rows=3, output_rows=2)
    operator.get_output.wall_nanos, operator.get_output.cpu_nanos = 40, 30
    text = TaskStats((operator,), (step("a", 30), step("b", 10)), 50)._repr_html_()
    assert re.findall(r"background-size:([\d.]+)% ", text) == ["100.0", "75.0", "25.0"]
    assert rows_of(text, 1)[1] == ["a", "k", "2x2", "0.001", "30ns", f"{2000 / 30:.1f}"]


@pytest.mark.parametrize(("share", "width"), [(0.5, "50"), (-1, "0"), (7, "100"), (np.nan, "0")])
def test_a_bar_stays_in_its_cell(share: float, width: str) -> None:
    assert f"background-size:{width}.0% 100%" in bar("x", share)


def test_only_elements_are_not_escaped() -> None:
    assert element("b", "a<b", element("i", "&")) == "<b>a&lt;b<i>&amp;</i></b>"
    assert element("b", class_='"><script>') == '<b class="&quot;&gt;&lt;script&gt;"></b>'
    assert "<th>&lt;x&gt;</th>" in table(["<x>"], [], 0)
    assert "<h4>&lt;x&gt;</h4>" in page("<x>")


def test_lines_end_where_they_are_too_long() -> None:
    assert line("A", "b\n") == "<A b\\n>"
    assert len(line("A", "b" * 500)) == LINE
    assert line("A", "b" * 500).endswith("bbb ...>")


def test_a_task_explains_what_it_did(shown: dict[str, Any]) -> None:
    lines = [text.strip() for text in shown["profiled task"].explain().split("\n")]
    scan = next(number for number, text in enumerate(lines) if text.startswith("-- TableScan[0]"))
    assert lines[scan - 1].startswith("Input: 64 rows")  # the filter above it
    assert "Output: 64 rows" in shown["profiled task"].explain().rpartition("TableScan[0]")[2]
