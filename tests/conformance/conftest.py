"""Prints how many of ONNX's backend cases each engine passed, and why the others were skipped."""

from __future__ import annotations

from collections import Counter

from _pytest.terminal import TerminalReporter


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    passed: Counter[str] = Counter()
    skipped: Counter[tuple[str, str]] = Counter()
    for status in ("passed", "skipped"):
        for report in terminalreporter.stats.get(status, []):
            if "test_onnx_cases.py::test_case[" not in report.nodeid:
                continue
            engine = report.nodeid.partition("[")[2].partition("-")[0]
            if status == "passed":
                passed[engine] += 1
            else:
                reason = str(report.longrepr[2]).removeprefix("Skipped: ").partition(" (")[0]
                skipped[engine, reason] += 1
    for engine, count in passed.items():
        reasons = [f"{n} {reason}" for (e, reason), n in skipped.items() if e == engine]
        terminalreporter.write_line(
            f"ONNX backend cases, {engine}: {count} passed; skipped: {'; '.join(reasons) or 0}"
        )
