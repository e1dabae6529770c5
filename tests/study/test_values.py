"""How axes are written, how they are combined, and which study is the same."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from bench.study import file, values
from bench.study.study import Study
from columnar_nn.errors import UsageError


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1,2,4", (1, 2, 4)),
        ("1-8", (1, 2, 3, 4, 5, 6, 7, 8)),
        ("1-8+1", (1, 2, 3, 4, 5, 6, 7, 8)),
        ("1-8+3", (1, 4, 7)),
        ("1-1000*10", (1, 10, 100, 1000)),
        ("2-1000*10", (2, 20, 200)),
        ("7", (7,)),
        (7, (7,)),
        ([1, "4-8*2", 4], (1, 4, 8)),
        ("3,1,3", (3, 1)),
        (" 1 , 2", (1, 2)),
    ],
)
def test_lists_and_ranges(written: object, expected: tuple[int, ...]) -> None:
    assert values.numbers("samples", written) == expected


@pytest.mark.parametrize(
    "written",
    [
        *("", "1,", "0", "0-3", "8-1", "1-8*1", "1-8+0", "-3", "1.5", "a", "1-", "1-9*", True),
        *([], [[1]], "1-100000", str(10**10), None, [1.5]),
    ],
)
def test_what_is_no_number_is_refused_by_name(written: object) -> None:
    with pytest.raises(UsageError, match="samples"):
        values.numbers("samples", written)


def study(axes: dict[str, Any], **rest: Any) -> Study:
    return Study.of({"axes": {"backend": "reference:float32", **axes}, **rest})


def test_axes_are_crossed() -> None:
    points = list(study({"samples": "1,2", "batch_size": "4,8", "threads": "1,2"}).points())
    assert len(points) == len(set(points)) == 8
    assert {(p.samples, p.batch_size, p.threads) for p in points} == {
        (s, b, t) for s in (1, 2) for b in (4, 8) for t in (1, 2)
    }


def test_zipped_axes_step_together_and_are_crossed_with_the_others() -> None:
    axes = {"samples": "1,2", "batch_size": "4,8,16", "threads": "1-3"}
    points = list(study(axes, zip=[["threads", "batch_size"]]).points())
    assert {(p.samples, p.batch_size, p.threads) for p in points} == {
        (s, b, t) for s in (1, 2) for b, t in ((4, 1), (8, 2), (16, 3))
    }


def test_cores_are_split_in_all_ways() -> None:
    points = list(study({"samples": 1, "cores": "6,1"}).points())
    shapes = [(p.processes, p.threads) for p in points]
    assert sorted(shapes) == [(1, 1), (1, 6), (2, 3), (3, 2), (6, 1)]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"axes": {"sample": 1}}, "unknown axis 'sample': choose from model"),
        ({"axis": {}}, "unknown 'axis': choose from axes"),
        ({"axes": {"samples": 1}, "zip": [["samples", "threads"]]}, "threads has one value"),
        ({"axes": {"samples": "1,2", "threads": 1}, "zip": [["samples", "threads"]]}, "as many"),
        ({"axes": {"samples": "1,2"}, "zip": [["samples"]]}, "as many"),
        ({"axes": {"samples": 1}, "zip": ["samples"]}, "list of lists"),
        (
            {
                "axes": {"samples": "1", "threads": "1", "processes": "1"},
                "zip": [["samples", "threads"], ["processes", "threads"]],
            },
            "one zip only",
        ),
        ({"axes": {"cores": 2, "threads": 1}}, "give one or other"),
        ({"axes": {"partitions": "4:skewed"}}, "4:zipf"),
        ({"axes": {"backend": "nothing"}}, "nothing"),
        ({"runs": 0}, "runs 0: expected a whole number from 1 on"),
        ({"budget": "2"}, "budget '2': expected a number"),
        ({"min_time": math.inf}, "min_time inf: expected a number from 0 on, and finite"),
        ({"split": "both"}, "split 'both'"),
        ({"algorithm": "fft"}, "algorithm 'fft': expected auto or direct or winograd or textbook"),
        ({"timeout": 0}, "timeout 0: expected a number above 0"),
        ({"rtol": {"logits": 1}}, "expected a text or a list of texts"),
        ({"functions": [True]}, "expected a text or a list of texts"),
        ({"axes": [1]}, "table of axes"),
    ],
)
def test_what_is_no_study_is_refused(document: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Study.of(document)


def test_a_study_is_the_same_however_it_is_written() -> None:
    one = study({"samples": "1-100*10"}, sessions=3, seed=4)
    other = study({"samples": [1, 10, 100]})
    assert one.hash == other.hash
    assert Study.of(one.document()) == one
    assert one.order_seed == 4
    assert other.order_seed == study({"samples": "1,10,100"}).order_seed
    assert one.hash != study({"samples": "1,10"}).hash
    assert one.hash != study({"samples": "1,10,100"}, runs=6).hash


def test_tolerances_and_files_are_a_text_or_a_list_or_a_number() -> None:
    one = study({"samples": 1}, rtol=1e-4, functions="mine.py")
    assert (one.rtol, one.functions) == (("0.0001",), ("mine.py",))
    other = study({"samples": 1}, rtol=["0.0001"], functions=["mine.py"])
    assert one == other == Study.of(one.document())
    assert one.hash != study({"samples": 1}, rtol="logits:0.0001", functions="mine.py").hash


def test_the_template_is_a_study(tmp_path: Path) -> None:
    file.write_template(tmp_path / "study.toml")
    made = file.read(tmp_path / "study.toml")
    assert made.sessions == 3
    assert made.axes["samples"] == (1, 10, 100, 1000)
    with pytest.raises(UsageError, match="File exists"):
        file.write_template(tmp_path / "study.toml")
    (tmp_path / "study.toml").write_text("sessions = ")
    with pytest.raises(UsageError, match=r"study\.toml: "):
        file.read(tmp_path / "study.toml")
    with pytest.raises(UsageError, match=r"other\.toml: No such file"):
        file.read(tmp_path / "other.toml")
