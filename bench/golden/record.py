"""Verifications and bisections as JSON documents and as JUnit XML."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any
from xml.etree import ElementTree

from bench.golden.bisect import Bisection
from bench.golden.comparison import TensorResult
from bench.golden.verify import Verification
from bench.verdict.status import MISTRUSTED, NOT_RUN, PASSED

SCHEMA_VERSION = 1


def to_json(outcome: Verification | Bisection) -> str:
    """All of an outcome as JSON; a figure that is undefined or infinite is null."""
    document: dict[str, Any] = {"schema_version": SCHEMA_VERSION, **_fields(outcome)}
    if isinstance(outcome, Verification):
        document |= _first_diverging(outcome)
    else:
        document["verification"] |= _first_diverging(outcome.verification)
        document["culprits"] = [error.tensor.operator for error in outcome.culprits]
        for error, entry in zip(outcome.operators, document["operators"], strict=True):
            entry["source"] = error.source
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def to_junit(verification: Verification) -> str:
    """A JUnit test suite with one test case for each tensor.

    A backend that did not run is one test case with an error.
    """
    cases = [_case(verification, result) for result in verification.results]
    if not verification.results:
        case = _element("testcase", name="run", classname=_class_name(verification))
        case.append(_element("error", verification.reason, message=verification.status))
        cases.append(case)
    count = {tag: sum(case.find(tag) is not None for case in cases) for tag in _OUTCOME_TAGS}
    suite = _element(
        "testsuite",
        name=f"golden {verification.expected} {verification.subject}",
        tests=str(len(cases)),
        failures=str(count["failure"]),
        errors=str(count["error"]),
        skipped=str(count["skipped"]),
        time=f"{verification.seconds.get('total', 0.0):.3f}",
    )
    suite.extend(cases)
    root = _element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


_OUTCOME_TAGS = ("failure", "error", "skipped")


def _case(verification: Verification, result: TensorResult) -> ElementTree.Element:
    case = _element("testcase", name=result.tensor.name, classname=_class_name(verification))
    if result.status in (NOT_RUN, MISTRUSTED):
        case.append(_element("skipped", message=f"{result.status}: {result.reason}"))
    elif result.status != PASSED:
        lines = [
            f"made by operator {result.tensor.operator} ({result.tensor.op_type})",
            result.reason,
        ]
        lines += [
            f"{list(w.index)}: {w.output!r}, expected {w.expected!r} +- {w.allowed:.3g}"
            for w in result.worst
        ]
        message = f"{result.status}: {result.reason}"
        case.append(_element("failure", "\n".join(lines), message=message, type=result.status))
    return case


def _class_name(verification: Verification) -> str:
    return f"golden.{verification.subject}"


def _element(tag: str, text: str = "", **attributes: str) -> ElementTree.Element:
    element = ElementTree.Element(tag, {k: _printable(v) for k, v in attributes.items()})
    element.text = _printable(text) or None
    return element


def _printable(text: str) -> str:
    """The text without control characters, which XML cannot say."""
    return "".join(c if c.isprintable() or c in "\n\t" else "?" for c in text)


def _first_diverging(verification: Verification) -> dict[str, str | None]:
    """The first wrong operator, null if it is not known, and the first wrong tensor."""
    first = verification.first_diverging
    return {
        "first_diverging": verification.first_diverging_operator,
        "first_diverging_tensor": None if first is None else first.tensor.name,
    }


def _result(result: TensorResult) -> dict[str, Any]:
    """The verdict's fields are the result's: status and reason stand there once."""
    own = {field.name: getattr(result, field.name) for field in fields(result)}
    verdict = own.pop("verdict")
    judged = _fields(verdict) if verdict is not None else {"parity": None}
    return {**judged, **_fields(own)}


def _fields(value: Any) -> Any:
    if isinstance(value, TensorResult):
        return _result(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _fields(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: _fields(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_fields(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
