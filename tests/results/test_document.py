"""The JSON document and the journal: what is read is what was written, or one line says why not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from results.examples import results, rows

from bench.results import document
from bench.results.privacy import Redaction
from bench.results.results import Results
from bench.results.schema import FORMAT, FORMAT_VERSION
from columnar_nn.errors import InvalidDataError


def written(found: Results) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(document.to_json(found))
    return parsed


def refusal(changed: Any) -> str:
    content = changed if isinstance(changed, bytes) else json.dumps(changed).encode()
    with pytest.raises(InvalidDataError) as error:
        document.loads(content)
    line = str(error.value)
    assert line.isprintable()
    return line


def journal(found: Results) -> bytes:
    (_, session), *others = sorted(found, key=lambda named: named[0] != "session")
    opening = {"format": FORMAT, "format_version": FORMAT_VERSION, **session}
    lines = [document.to_line("session", opening), *(document.to_line(*row) for row in others)]
    return b"".join(lines)


def test_what_is_read_is_what_was_written() -> None:
    assert document.loads(document.to_json(results())) == results()


def test_the_document_names_its_format_first() -> None:
    assert [*written(results())][:2] == ["format", "format_version"]
    assert written(results())["format_version"] == 2


def test_fields_that_this_version_does_not_know_are_kept() -> None:
    changed = written(results())
    changed["session"][0]["mood"] = {"of": ["the", "machine"]}
    changed["observation"][0]["humidity"] = 0.5
    again = written(document.loads(json.dumps(changed).encode()))
    assert again["session"][0]["mood"] == {"of": ["the", "machine"]}
    assert again["observation"][0]["humidity"] == 0.5


def test_a_metric_of_an_earlier_name_is_read_as_what_it_is() -> None:
    """gflops was in operations a second, not in thousands of millions of them."""
    changed = written(results())
    changed["observation"][0].update(metric="gflops", unit="1/s", value=[1.25e11, 1.5e11])
    (row,) = [
        r for r in document.loads(json.dumps(changed).encode())["observation"] if r["unit"] == "1/s"
    ]
    assert (row["metric"], row["value"]) == ("flops_per_second", [1.25e11, 1.5e11])


def test_the_summary_is_made_anew_and_never_read() -> None:
    changed = written(results())
    assert [cell["median_s"] for cell in changed["summary"]] == [0.25, 2.0]
    assert [cell["times_the_fastest"] for cell in changed["summary"]] == [1.0, 8.0]
    assert changed["summary"][0]["images_per_second"] == 8 / 0.25
    changed["summary"] = [{"median_s": 1e9}]
    assert written(document.loads(json.dumps(changed).encode())) == written(results())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(format="other"), 'does not say "format": "cnn-bench/results"'),
        (lambda d: d.pop("format"), 'does not say "format"'),
        (lambda d: d.update(format_version=3), "format_version is 3, this cnn-bench reads 2"),
        (lambda d: d.update(format_version="2"), "format_version is '2'"),
        (lambda d: d.update(extra=[]), "'extra' is no table of results"),
        (lambda d: d.update(cell={}), "'cell' is no table of results"),
        (lambda d: d["cell"].append(5), "table cell: 5 is no row"),
        (lambda d: d["cell"][0].update(status=None), "table cell: None cannot be status"),
        (lambda d: d["cell"][0].update(status="GREAT"), "table cell: no cell ends 'GREAT'"),
        (lambda d: d["cell"][0].update(max_abs="0.5"), "'0.5' cannot be max_abs"),
        (lambda d: d["cell"][0].update(max_abs=True), "True cannot be max_abs"),
        (lambda d: d["cell"][0].update(parity_rows=8.0), "8.0 cannot be parity_rows"),
        (lambda d: d["cell"][0].update(cell="0" * 16), "is not the hash of its row"),
        (lambda d: d["subject"][0].update(threads=2), "is not the hash of its row"),
        (lambda d: d["subject"][0].update(notes=[1]), "cannot be notes"),
        (lambda d: d["observation"][0].update(value=[]), "[] cannot be value"),
        (lambda d: d["observation"][0].update(value=None), "None cannot be value"),
        (lambda d: d["observation"][0].update(switches=[0]), "lists of one row differ in length"),
        (lambda d: d["observation"][0].update(index="0"), "cannot be index"),
        (lambda d: d["observation"][0].update(unit="ms"), "time is in s, not in 'ms'"),
        (lambda d: d["observation"][0].update(value=[0.25, -1]), "-1.0 is no time"),
        (lambda d: d["observation"][0].update(cell="f" * 16), "which is not there"),
        (lambda d: d["session"].clear(), "a row of cell is of session"),
        (lambda d: d["machine"].clear(), "a row of session is of machine"),
        (lambda d: d["session"].append({**d["session"][0], "seed": 1}), "differ in seed"),
        (lambda d: d["cell"].append({**d["cell"][0], "max_abs": 0.1}), "differ in max_abs"),
        (lambda d: d["cell"].append({**d["cell"][0], "new": 0.1}), "differ in new"),
        (
            lambda d: d["observation"].append({**d["observation"][0], "value": [0.25, 0.75]}),
            "two observations of time 0",
        ),
        (
            lambda d: d["observation"].append({**d["observation"][0], "index": 1}),
            "two observations of time",
        ),
        (lambda d: d["session"][0].update(settings=json.loads("[" * 50 + "]" * 50)), "deep"),
        (lambda d: d["session"][0].update(future=json.loads("[" * 50 + "]" * 50)), "deep"),
    ],
)
def test_a_document_that_is_wrong_is_refused(change: Any, message: str) -> None:
    changed = written(results())
    change(changed)
    assert message in refusal(changed)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON as cnn-bench writes it"),
        (b"not json", "not JSON as cnn-bench writes it"),
        (b"\xff\xfe", "not text in UTF-8"),
        (b"[]", "no result of cnn-bench"),
        (b"{}", "does not say"),
        (b"[" * 10**6, "it is over 24 levels deep"),
        (b'{"format": NaN}', "NaN is no number"),
        (b'{"format": 1, "format": 1}', "a name twice"),
        (b'{"format": 1' + b"0" * 5000 + b"}", "a whole number of 5001 digits"),
        (b'{"schema_version": 1, "engines": []}', "only those of compare can be read"),
        (b'{"schema_version": 1, "benchmarks": [], "context": 3}', "context is no JSON object"),
    ],
)
def test_what_is_no_document_is_refused(content: bytes, message: str) -> None:
    assert message in refusal(content)


def test_a_number_too_large_for_any_float_is_refused() -> None:
    text = json.dumps(written(results())).replace('"max_abs": 0.5', '"max_abs": 1e999')
    assert "1e999 is larger than any number" in refusal(text.encode())


def test_rows_that_are_there_twice_count_once() -> None:
    twice = Results.of([*rows(), *rows()])
    assert twice == results()


def test_a_journal_is_read_as_results_up_to_a_line_cut_short() -> None:
    whole = journal(results())
    assert document.loads(whole) == results()
    lines = whole.splitlines(keepends=True)
    for cut in (b"", lines[-1][:20]):
        found = document.loads(b"".join(lines[:-1]) + cut)
        assert len(found["observation"]) == len(results()["observation"]) - 1
    assert "line 3 of this journal" in refusal(lines[0] + lines[1] + b"nonsense\n" + lines[2])


def test_of_rows_written_again_the_last_counts() -> None:
    later = results(status="FAILED")
    lines = journal(results()) + b"".join(document.to_line("cell", row) for row in later["cell"])
    assert document.loads(lines)["cell"] == later["cell"]


def test_files_are_read_if_they_are_regular_and_not_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(document.to_json(results()))
    assert document.read(file) == results()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "empty").mkdir()
    for path, message in (
        (tmp_path / "fifo", "no regular file"),
        (tmp_path / "absent", "No such file"),
        (tmp_path / "empty", "empty: there are no results in this folder"),
    ):
        with pytest.raises(InvalidDataError, match=message):
            document.read(path)
    monkeypatch.setattr(document, "MAX_BYTES", 100)
    with pytest.raises(InvalidDataError, match="larger than 100 bytes"):
        document.read(file)


def test_a_folder_is_all_that_is_in_it(tmp_path: Path) -> None:
    """A journal counts unless it has become a document, and what is neither does not."""
    other = results("b" * 16)
    (tmp_path / "1.json").write_bytes(document.to_json(results()))
    (tmp_path / "1.journal").write_bytes(b"of a process that died as it wrote the document")
    (tmp_path / "2.journal").write_bytes(journal(other))
    (tmp_path / "page.html").write_bytes(b"a report")
    assert document.read(tmp_path) == Results.of([*results(), *document.loads(journal(other))])
    (tmp_path / "3.json").write_bytes(b"{}")
    with pytest.raises(InvalidDataError, match=r"^[^:]*3\.json: this JSON does not say"):
        document.read(tmp_path)


@pytest.mark.parametrize(
    ("text", "published"),
    [
        ("/home/jane/data/x.onnx", "~/data/x.onnx"),
        ("--json=/home/jane", "--json=~"),
        ("/home/janet/x", "/home/janet/x"),
        ("/scratch/jane/x.bin", "/scratch/USER/x.bin"),
        ("/mnt/home/jane/x", "/mnt/home/USER/x"),
        ("jane is no path", "jane is no path"),
    ],
)
def test_home_folders_and_user_names_are_left_out(text: str, published: str) -> None:
    redact = Redaction("/home/jane", "jane")
    assert redact({"argv": [text], "n": 1}) == {"argv": [published], "n": 1}


def test_documents_and_journals_are_published_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/jane")
    monkeypatch.setenv("LOGNAME", "jane")
    found = results(session={"argv": ["compare", "--model", "/home/jane/secret.onnx"]})
    for content in (document.to_json(found), journal(found)):
        assert b"jane" not in content
        (session,) = document.loads(content)["session"]
        assert session["argv"][-1] == "~/secret.onnx"
