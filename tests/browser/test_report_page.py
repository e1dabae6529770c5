"""The report in headless Chromium without a network: every chart draws, and no request is made."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from report.recorded import COMPARE, ENGINE, PROFILE
from report.simulated import session

from bench.report import page, palette
from bench.report.figures import figures
from bench.results import document, merging
from bench.results.traffic import PERCENTILES, Limit, Traffic

pytest.importorskip("altair", reason='the extra "report" is not installed')
pytest.importorskip("vl_convert", reason='the extra "report" is not installed')

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]
WIDTHS = (400, 1000, 1600)
FRAME = """<!doctype html><iframe style="width:%dpx;height:2000px;border:0"></iframe><script>
const frame = document.querySelector("iframe");
frame.srcdoc = %s;
const waiting = setInterval(() => {
  const drawn = frame.contentDocument.documentElement;
  if (!drawn.dataset.charts) return;
  clearInterval(waiting);
  %s
  setTimeout(() => document.body.append(document.importNode(drawn, true)), 1000);
}, 100);
</script>"""
"""Opens a page in a frame of so many pixels, for a window has at least 500, and shows what it is
once its charts are drawn."""

NOBODY = "not an origin"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    measured = [document.read(file) for file in (COMPARE, PROFILE, ENGINE)]
    asked = Traffic("server", PERCENTILES, (), Limit(99.0, 0.02))
    served = session(asked, [50.0, 100.0, 250.0, 375.0], name="5" * 16)
    path.write_text(page.page(figures(merging.merged([*measured, served]))), encoding="utf-8")
    return path


def opened(file: Path, tmp_path: Path, *options: str) -> tuple[str, str, Path]:
    """The document as scripts left it, what the console said, and Chromium's log of its network."""
    log = tmp_path / "network.json"
    done = subprocess.run(
        [
            str(CHROMIUM),
            *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *("--disable-background-networking", "--disable-component-update", "--no-first-run"),
            *("--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr"),
            *(f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}"),
            *("--window-size=1700,2000", "--virtual-time-budget=30000", *options),
            *("--dump-dom", file.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr, log


def framed(file: Path, tmp_path: Path, width: int, action: str = "") -> Path:
    """A page that shows the file in a frame, and does something there when it is drawn."""
    text = json.dumps(file.read_text(encoding="utf-8")).replace("<", "\\u003c")
    path = tmp_path / "framed.html"
    path.write_text(FRAME % (width, text, action), encoding="utf-8")
    return path


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_chart_draws(file: Path, tmp_path: Path, width: int, theme: str) -> None:
    dark = ["--blink-settings=preferredColorScheme=0"] if theme == "dark" else []
    document, console, _ = opened(framed(file, tmp_path, width), tmp_path, *dark)
    charts = document.count("<figure ")
    assert charts >= 7 + 3
    assert f'data-charts="{charts}"' in document, console
    drawn_widths = [int(found) for found in re.findall(r'data-drawn="(\d+)"', document)]
    assert len(drawn_widths) == charts
    assert 0.4 * width < max(drawn_widths) < width
    live = re.findall(r'<div class="live.*?</figure>', document, re.S)
    assert len(live) == charts
    assert (palette.DARK[palette.INK] in live[0]) == (theme == "dark")
    for drawn in live:
        assert len(re.findall(r"<path ", drawn)) > 10
    for problem in ("CONSOLE", "Uncaught", "Refused to"):
        lines = [line for line in console.splitlines() if problem in line and ":ERROR:" not in line]
        assert not lines


def test_an_engine_that_is_switched_off_is_in_no_chart_and_no_table(
    file: Path, tmp_path: Path
) -> None:
    engine = "onnxruntime:default"
    off = f'drawn.querySelector("[value=\\"{engine}\\"]").click();'
    colour = palette.looks([engine])[engine].colour
    marks = []
    for action in ("", off):
        document, _, _ = opened(framed(file, tmp_path, 1000, action), tmp_path)
        rows = re.findall(rf'<tr data-engine="{engine}"[^>]*>', document)
        assert rows
        assert all(("data-hidden" in row) == bool(action) for row in rows)
        chart = document.split('class="live', 2)[1].split("</figure>")[0]
        marks.append(chart.count(f'stroke="{colour}"') + chart.count(f'fill="{colour}"'))
    assert marks[1] < marks[0] / 2


def asked_by_the_page(log: Path) -> set[str]:
    """Addresses that a document asked for; Chromium's own requests have no origin."""
    found = set()
    for event in json.loads(log.read_text())["events"]:
        parameters = event.get("params", {})
        if parameters.get("initiator", NOBODY) != NOBODY:
            found.add(parameters["url"])
    return found


def test_no_request_leaves_the_page(file: Path, tmp_path: Path) -> None:
    _, _, log = opened(file, tmp_path)
    assert file.name in log.read_text(), "the log has no requests at all"
    assert asked_by_the_page(log) == set()


def test_a_page_that_asks_for_something_is_noticed(file: Path, tmp_path: Path) -> None:
    """The test above can fail: a request shows, and without the policy is made."""
    text = file.read_text(encoding="utf-8")
    asking = tmp_path / "asking.html"
    picture = '<img src="http://asked.invalid/x.png"><h1>'
    asking.write_text(
        re.sub("<meta http-equiv=[^>]*>", "", text).replace("<h1>", picture), encoding="utf-8"
    )
    _, _, log = opened(asking, tmp_path)
    assert asked_by_the_page(log) == {"http://asked.invalid/x.png"}
    asking.write_text(text.replace("<h1>", picture), encoding="utf-8")
    _, _, log = opened(asking, tmp_path)
    assert asked_by_the_page(log) == set()
