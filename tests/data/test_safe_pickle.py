"""Pickles read without running anything: Python's own pickles of plain data, and hostile ones."""

from __future__ import annotations

import os
import pickle
import pickletools
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data import safe_pickle
from columnar_nn.errors import InvalidDataError

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.binary() | st.integers(), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(value=PLAIN, protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_data_comes_back(value: Any, protocol: int) -> None:
    assert safe_pickle.loads(pickle.dumps(value, protocol), "x") == value


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
        np.asfortranarray(np.arange(6, dtype=np.uint8).reshape(2, 3)),
        np.zeros((0, 3), np.uint8),
        np.arange(20, dtype=np.uint8)[::3],
    ],
    ids=["C", "Fortran", "empty", "strided"],
)
def test_arrays_of_bytes_come_back(array: np.ndarray, protocol: int) -> None:
    found = safe_pickle.loads(pickle.dumps([array, {"a": array}], protocol), "x")
    assert np.array_equal(found[0], array)
    assert np.array_equal(found[1]["a"], array)


def test_strings_of_python_2_are_a_character_a_byte() -> None:
    text = bytes(range(256))
    old = b"\x80\x02T" + struct.pack("<i", 256) + text + b"."
    assert pickle.loads(old, encoding="latin-1") == text.decode("latin-1")
    assert safe_pickle.loads(old, "x") == text.decode("latin-1")


class Calling:
    """What pickles as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


class Plain:
    """What pickles as an object of a class."""

    def __init__(self, number: int = 1) -> None:
        self.number = number


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", ["os.system", "eval", "getattr", "object", "inside an array"])
def test_nothing_is_run(kind: str, protocol: int, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    value: Any = {
        "os.system": Calling(os.system, f"touch {trace}"),
        "eval": Calling(eval, f"open({str(trace)!r}, 'w')"),
        "getattr": Calling(getattr, "a", "upper"),
        "object": Plain(),
        "inside an array": np.array([Calling(os.system, f"touch {trace}")], object),
    }[kind]
    content = pickle.dumps({"data": [value]}, protocol)
    with pytest.raises(InvalidDataError, match=r"save it as \.npz"):
        safe_pickle.loads(content, "x")
    assert not trace.exists()


def test_every_operation_that_could_run_code_is_refused() -> None:
    """By hand: what pickle itself does not write."""
    hostile = {
        "INST": b"(S'touch x'\nios\nsystem\n.",
        "OBJ": b"(cos\nsystem\nS'touch x'\no.",
        "NEWOBJ": b"cnumpy\nndarray\n)\x81.",
        "NEWOBJ_EX": b"cnumpy\nndarray\n)}\x92.",
        "EXT1": b"\x82\x01.",
        "PERSID": b"Pname\n.",
        "BINPERSID": b"S'a'\nQ.",
        "NEXT_BUFFER": b"\x97.",
    }
    known = {opcode.name for opcode in pickletools.opcodes}
    assert hostile.keys() <= known
    for content in hostile.values():
        with pytest.raises(InvalidDataError, match=r"save it as \.npz"):
            safe_pickle.loads(content, "x")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b".",
        b"\x80\x02",
        b"cnumpy\nndarray\n(K\x01tR.",  # calls the class itself
        b"cnumpy.core.multiarray\n_reconstruct\n)R}b.",  # an array's state that is no tuple
        b"cnumpy\ndtype\n(S'u1'\nK\x00K\x01tR}b.",  # a dtype, and nothing of it
        b"r\xff\xff\xff\x7f.",  # memo 2**31
        b"]r\xff\xff\xff\x7f.",
        b"j\xff\xff\xff\x7f.",
        b"\x8e" + struct.pack("<Q", 2**60) + b"x.",  # 2**60 bytes are said to come
        b"\x96" + struct.pack("<Q", 2**63 - 1) + b"x.",
        b"I" + b"9" * 10_000 + b"\n.",
        b"(" * 1000 + b".",
        b"]" * 50_000 + b"a" * 49_999 + b".",  # as deep as Python's own calls never are
        b")" + b"\x86".join([b"2"] * 60) + b".",
    ],
    ids=lambda content: repr(content[:24]),
)
def test_damaged_and_hostile_pickles_are_one_line_or_plain(content: bytes) -> None:
    try:
        safe_pickle.loads(content, "x")
    except InvalidDataError as error:
        line = str(error)
    else:
        line = "x: fine"
    assert line.startswith("x: ")


def test_keys_that_take_forever_to_hash_are_refused() -> None:
    """Tuples of the same tuple twice, 60 deep: 2**60 to hash."""
    doubled = b"".join(b"q%ch%c\x86" % (n, n) for n in range(60))
    with pytest.raises(InvalidDataError, match="neither text nor number"):
        safe_pickle.loads(b"\x80\x02}(K\x01\x85" + doubled + b"K\x01u.", "x")


def test_an_array_is_as_large_as_its_bytes() -> None:
    content = pickle.dumps(np.zeros((2, 3), np.uint8), 2)
    forged = content.replace(b"K\x02K\x03\x86", b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86")
    assert forged != content
    with pytest.raises(InvalidDataError, match="damaged pickle"):
        safe_pickle.loads(forged, "x")


def test_a_large_pickle_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe_pickle, "MAX_BYTES", 10)
    with pytest.raises(InvalidDataError, match="more than 10 bytes"):
        safe_pickle.loads(pickle.dumps("some text"), "x")
