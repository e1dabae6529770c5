"""The page and its charts, as far as a parser can tell; tests/browser opens them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest
from report.recorded import COMPARE, ENGINE, PROFILE, figures_of, recorded
from report.test_formats import HOSTILE, hostile

from bench.report import page
from bench.report.figures import figures
from columnar_nn.errors import MissingPackageError, UsageError

pytest.importorskip("altair", reason='the extra "report" is not installed')
pytest.importorskip("vl_convert", reason='the extra "report" is not installed')

MAX_BYTES = 1_200_000
OWN_NAMES = {
    *("http://www.w3.org/1999/xlink", "http://www.w3.org/2000/svg"),
    *("http://www.w3.org/2000/xmlns/", "https://vega.github.io/editor/"),
    *("https://vega.github.io/schema/", "https://github.com/vega/vega-lite/issues/2415"),
}
"""Names that look like addresses: of XML, and of a menu of Vega's that is off."""


class Reader(HTMLParser):
    """Elements and attributes of a page, and what its JSON holds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._json: dict[str, str] = {}
        self._open = ""
        self.feed(text)
        self.data: dict[str, Any] = {name: json.loads(text) for name, text in self._json.items()}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        is_json = attributes.get("type") == "application/json"
        self._open = str(attributes["id"]) if is_json else ""

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open:
            self._json[self._open] = self._json.get(self._open, "") + data


@pytest.fixture(scope="module")
def whole() -> str:
    return page.page(figures_of(COMPARE, PROFILE, ENGINE))


def chart_names(text: str) -> list[str]:
    return [str(a["class"]) for tag, a in Reader(text).elements if tag == "figure"]


def test_every_chart_that_has_data_is_there(whole: str) -> None:
    names = chart_names(whole)
    assert {"time", "residuals", "error", "start", "memory", "layers", "roofline"} <= {*names}
    assert len(Reader(whole).data["charts"]) == len(names)


def test_a_chart_without_data_is_absent() -> None:
    assert chart_names(page.page(figures_of(PROFILE))) == ["layers"]


def test_the_page_is_small_and_names_no_address(whole: str) -> None:
    assert len(whole.encode()) < MAX_BYTES
    found = set(re.findall(r"""https?://[^\s"'`)<\\]+""", whole))
    assert all(any(name.startswith(own) for own in OWN_NAMES) for name in found), found
    for _, attributes in Reader(whole).elements:
        assert not {"src", "href", "srcset"} & attributes.keys()


def test_the_page_may_only_run_what_it_holds(whole: str) -> None:
    (policy,) = (
        attributes["content"]
        for _, attributes in Reader(whole).elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy == page.POLICY
    assert "unsafe-eval" not in page.POLICY


def test_static_charts_are_svg_with_a_name(whole: str) -> None:
    drawn = re.findall(r"<svg .*?</svg>", whole.split("<script", maxsplit=1)[0], re.S)
    assert len(drawn) == 2 * len(chart_names(whole))
    for text in drawn:
        root = ElementTree.fromstring(text)
        assert root.get("aria-label")
        assert len([*root.iter()]) > 20


def test_hostile_text_stays_text() -> None:
    text = page.page(figures(hostile()))
    assert "<script>alert" not in text
    tags = [tag for tag, _ in Reader(text).elements]
    assert tags.count("script") == 3
    rows = [a["data-engine"] for tag, a in Reader(text).elements if a.get("data-engine")]
    assert rows
    assert HOSTILE.split("<")[0].strip().replace("&", "&amp;") in text


def test_a_notebook_gets_charts_and_no_script() -> None:
    assert repr(recorded(COMPARE)).startswith("<Results: session 1, ")
    text = recorded(COMPARE)._repr_html_()
    assert text is not None
    names = [tag for tag, _ in Reader(text).elements]
    assert names.count("figure") >= 4
    assert "script" not in names
    assert "html" not in names


def test_an_svg_is_the_same_bytes_from_process_to_process() -> None:
    program = (
        "import pathlib, sys; sys.path[:0] = ['.', 'tests']\n"
        "from report.recorded import COMPARE, figures_of\n"
        "from bench.report.page import one_chart\n"
        "sys.stdout.write(one_chart(figures_of(COMPARE), 'time'))"
    )
    drawn = [
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PATH": ""},
        ).stdout
        for seed in ("1", "2")
    ]
    assert drawn[0] == drawn[1]
    assert b"prefers-color-scheme" in drawn[0]
    ElementTree.fromstring(drawn[0])


def test_a_chart_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="these results have layers"):
        page.one_chart(figures_of(PROFILE), "time")


def test_without_the_packages_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(page, "_PACKAGES", ("altair", "not_a_package"))
    with pytest.raises(MissingPackageError, match=r"pip install .*cnn-bench\[report\]"):
        page.page(figures_of(COMPARE))
    assert recorded(COMPARE)._repr_html_() is None
