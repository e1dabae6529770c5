"""JSON and JUnit XML say what the verification says, whatever a tensor is called."""

import hashlib
import json
from dataclasses import replace
from xml.etree import ElementTree

from golden.conftest import faulty

from bench.golden import checks, record, report
from bench.golden.bisect import bisect
from bench.golden.bundle import Bundle
from bench.golden.manifest import FORMAT_VERSION, RULES
from bench.golden.verify import Comparing, verify

ELEMENTWISE = Comparing(checks.parse("elementwise"))
FAIL_FAST = Comparing(checks.parse("elementwise"), fail_fast=True)


def test_json_of_a_verification(bundle: Bundle) -> None:
    verification = verify(bundle, *faulty("NotANumber"), ELEMENTWISE)
    document = json.loads(record.to_json(verification))
    assert document["status"] == verification.status
    assert document["first_diverging"] == "relu2"
    manifest = (bundle.folder / "manifest.json").read_bytes()
    assert document["fingerprint"] == hashlib.sha256(manifest).hexdigest()
    by_name = {entry["tensor"]["name"]: entry for entry in document["results"]}
    assert by_name["conv1"]["parity"]["max_abs"] == 0.0
    assert by_name["conv1"]["parity"]["sqnr_db"] is None  # infinite: both are equal
    assert by_name["conv1"]["column_ratio"] == by_name["conv1"]["silent_columns"] == 0
    assert by_name["relu2"]["unlike"] == 2
    assert document["rule"] == RULES[FORMAT_VERSION]
    assert by_name["relu2"]["worst"][0]["index"] == [0, 3, 1, 2]
    assert by_name["relu2"]["worst"][0]["output"] is None  # NaN
    assert set(document["seconds"]) == {"start", "import", "build", "run", "total"}


def test_json_of_a_bisection(bundle: Bundle) -> None:
    document = json.loads(record.to_json(bisect(bundle, *faulty("DroppedBias"), ELEMENTWISE)))
    assert document["culprits"] == ["conv2"]
    assert document["verification"]["first_diverging"] == "conv2"
    assert [entry["source"] for entry in document["operators"]][3:5] == ["own", "inherited"]


def test_junit_counts_failures_and_skipped(bundle: Bundle) -> None:
    verification = verify(bundle, *faulty("DroppedBias"), FAIL_FAST)
    (suite,) = ElementTree.fromstring(record.to_junit(verification))
    assert suite.attrib | {"time": ""} == {
        "name": f"golden {bundle.folder} golden.faulty_backends.DroppedBias:usual",
        "tests": "8",
        "failures": "1",
        "errors": "0",
        "skipped": "4",
        "time": "",
    }
    cases = {case.attrib["name"]: case for case in suite}
    assert list(cases["conv1"]) == []
    (failure,) = cases["conv2"]
    assert failure.tag == "failure"
    assert "operator conv2 (Conv)" in (failure.text or "")
    assert [child.tag for child in cases["logits"]] == ["skipped"]


def test_junit_of_what_says_nothing_is_skipped(bundle: Bundle) -> None:
    comparing = Comparing(checks.parse("elementwise"), atol=("conv1:100",))
    verification = verify(bundle, *faulty("Correct"), comparing)
    (suite,) = ElementTree.fromstring(record.to_junit(verification))
    assert (suite.attrib["skipped"], suite.attrib["failures"]) == ("1", "0")
    assert suite[0][0].attrib["message"].startswith("MISTRUSTED: ")


def test_junit_of_a_crash_is_an_error(bundle: Bundle) -> None:
    verification = verify(bundle, *faulty("Crashing"), ELEMENTWISE)
    (suite,) = ElementTree.fromstring(record.to_junit(verification))
    assert (suite.attrib["tests"], suite.attrib["errors"]) == ("1", "1")
    assert suite[0][0].attrib["message"] == "CRASHED"


def test_odd_tensor_names_break_neither_xml_nor_the_table(bundle: Bundle) -> None:
    verification = verify(bundle, *faulty("DroppedBias"), ELEMENTWISE)
    first = verification.results[3]
    name = "[red]/a<b>&\x00\x1b" + "long" * 30
    tensor = replace(first.tensor, name=name, operator=name, shape=(64, 112, 112))
    odd = replace(first, tensor=tensor, status="MISTRUSTED")
    verification = replace(verification, results=(odd,))
    (suite,) = ElementTree.fromstring(record.to_junit(verification))
    assert suite[0].attrib["name"].startswith("[red]/a<b>&?")
    text = report.plain_text(verification)
    assert "[red]/a<b>&" in text
    assert "64x112x112" in text
    assert "MISTRUSTED" in text.splitlines()[2]
    table = text.splitlines()[1:3]
    assert all(len(line) <= report.WIDTH for line in table)
