"""The report in headless Chromium without a network: every chart draws, and no request is made."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from report.recorded import COMPARE, ENGINE, PROFILE, figures_of

from bench.report import page

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
NARROWEST = 500
"""Pixels that a window of Chromium has at least: narrower pages have larger pixels."""

NOBODY = "not an origin"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page.page(figures_of(COMPARE, PROFILE, ENGINE)), encoding="utf-8")
    return path


def opened(file: Path, tmp_path: Path, width: int, *options: str) -> tuple[str, str, Path]:
    """The document as scripts left it, what the console said, and Chromium's log of its network."""
    log = tmp_path / "network.json"
    done = subprocess.run(
        [
            str(CHROMIUM),
            *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *("--disable-background-networking", "--disable-component-update", "--no-first-run"),
            *("--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr"),
            *(f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}"),
            *(f"--window-size={max(width, NARROWEST)},2000", *options),
            *(f"--force-device-scale-factor={max(1, NARROWEST / width)}",),
            "--virtual-time-budget=30000",
            *("--dump-dom", file.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr, log


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_chart_draws(file: Path, tmp_path: Path, width: int, theme: str) -> None:
    dark = ["--blink-settings=preferredColorScheme=0"] if theme == "dark" else []
    document, console, _ = opened(file, tmp_path, width, *dark)
    charts = document.count("<figure ")
    assert charts >= 7
    assert f'data-charts="{charts}"' in document, console
    drawn_widths = [int(found) for found in re.findall(r'data-drawn="(\d+)"', document)]
    assert len(drawn_widths) == charts
    assert 0.4 * width < max(drawn_widths) < width
    live = re.findall(r'<div class="live.*?</figure>', document, re.S)
    assert len(live) == charts
    for drawn in live:
        assert len(re.findall(r"<path ", drawn)) > 10
    for problem in ("CONSOLE", "Uncaught", "Refused to"):
        lines = [line for line in console.splitlines() if problem in line and ":ERROR:" not in line]
        assert not lines


def asked_by_the_page(log: Path) -> set[str]:
    """Addresses that a document asked for; Chromium's own requests have no origin."""
    found = set()
    for event in json.loads(log.read_text())["events"]:
        parameters = event.get("params", {})
        if parameters.get("initiator", NOBODY) != NOBODY:
            found.add(parameters["url"])
    return found


def test_no_request_leaves_the_page(file: Path, tmp_path: Path) -> None:
    _, _, log = opened(file, tmp_path, 1000)
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
    _, _, log = opened(asking, tmp_path, 1000)
    assert asked_by_the_page(log) == {"http://asked.invalid/x.png"}
    asking.write_text(text.replace("<h1>", picture), encoding="utf-8")
    _, _, log = opened(asking, tmp_path, 1000)
    assert asked_by_the_page(log) == set()
