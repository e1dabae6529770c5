"""A study in a file, in TOML: how it is read, and one to begin with."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.study.study import Study
from columnar_nn.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TEMPLATE = """\
# A study of cnn-bench: cnn-bench study plan FILE shows it, cnn-bench study run FILE measures it.
# What is left out is as in `cnn-bench sweep`; docs/sweep.md says what everything means.

sessions = 3         # times that all is measured, by new processes; 4 can show a difference
data = "photo10"     # photo10, synthetic, or a path, as docs/data.md has them
split = "test"       # or train
# labels = "labels.csv"  # of a folder of images; resize, mean, std, input_shape: as of compare
runs = 5             # timed runs of a cell, at least
min_time = 0.3       # seconds of them, at least
budget = 2.0         # seconds of them, about, at most
# rtol = "1e-4"      # in the place of the verdict's rule, as of compare; atol too
# functions = ["mine.py"]  # files of functions of one's own
# seed = 1           # of the random order
# zip = [["threads", "processes"]]  # axes that step together; all others are crossed

[axes]               # lists and ranges: [1, 2], "1,2,4", "1-8+1", "1-1000*10"
model = ["plain9", "plain9@width=2"]
backend = ["columnar", "onnxruntime"]
samples = "1-1000*10"
# batch_size = [32, 128]
# threads = "1,2"
# processes = "1,2"
# cores = 2          # instead of the two: all ways to split them
# partitions = ["4", "4:zipf"]
"""

_MOST_BYTES = 1 << 20


def read(path: Path) -> Study:
    """The study in a file; raises UsageError, naming it, for anything else."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UsageError(f"{path}: larger than {_MOST_BYTES:,} bytes: no study is")
        return Study.of(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except ValueError as error:  # not TOML, or not UTF-8
        raise UsageError(f"{path}: {error}") from None
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def write_template(path: Path) -> None:
    """Writes a study to begin with; raises UsageError if the file is there already."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(TEMPLATE)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
