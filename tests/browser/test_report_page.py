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
REQUEST_EVENTS = ("URL_REQUEST_START_JOB",)


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
            *(f"--window-size={width},2000", "--virtual-time-budget=30000", *options),
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
    assert len(re.findall(r"<figure [^>]*data-drawn=", document)) == charts
    live = re.findall(r'<div class="live.*?</figure>', document, re.S)
    assert len(live) == charts
    for drawn in live:
        assert len(re.findall(r"<path ", drawn)) > 10
    for problem in ("CONSOLE", "Uncaught", "Refused to"):
        lines = [line for line in console.splitlines() if problem in line and ":ERROR:" not in line]
        assert not lines


def test_no_request_leaves_the_page(file: Path, tmp_path: Path) -> None:
    _, _, log = opened(file, tmp_path, 1000)
    text = log.read_text()
    assert file.name in text, "the log has no requests at all"
    asked = set(re.findall(r'"url":"([^"]+)"', text))
    own = {url for url in asked if url.startswith(("file:", "data:", "chrome:", "about:", "blob:"))}
    assert asked == own, json.dumps(sorted(asked - own))


def test_a_page_that_asks_for_something_is_noticed(file: Path, tmp_path: Path) -> None:
    """The test above can fail: without the policy a request is seen in the log."""
    text = file.read_text(encoding="utf-8").replace(page.POLICY, "")
    asking = tmp_path / "asking.html"
    asking.write_text(text.replace("<h1>", '<img src="http://asked.invalid/x.png"><h1>'))
    _, _, log = opened(asking, tmp_path, 1000)
    assert "http://asked.invalid/x.png" in log.read_text()
