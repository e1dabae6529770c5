"""The tables of results, said once: fields with type, unit, meaning, and which of them are hashed.

A row is a mapping with every field of its table, null where it is not known, and beside them the
fields that a later version wrote. docs/results.md says the same in words, held to it by a test.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

FORMAT, FORMAT_VERSION = "cnn-bench/results", 2

Row = Mapping[str, Any]

HASH_DIGITS = 16


class Type(Enum):
    """Of a field; TREE is any JSON value."""

    TEXT = "text"
    INTEGER = "integer"
    REAL = "real"
    BOOLEAN = "boolean"
    TEXTS = "texts"
    TREE = "tree"


class Role(Enum):
    """KEY: the key of a row. HASHED: what was asked, or is stable, and makes up the key's hash."""

    KEY = "key"
    HASHED = "hashed"
    PLAIN = ""


@dataclass(frozen=True)
class Field:
    """One field; `each` says that in JSON it is a list, one value for each observation of a row.

    `null` is what an absent value means, unless the row's `reasons` say more; empty: it has one.
    A hashed field that is `later` than its format is in no hash while it is null: rows that were
    written without it keep theirs.
    """

    name: str
    type: Type
    meaning: str
    role: Role = Role.PLAIN
    unit: str = ""
    each: bool = False
    null: str = ""
    later: bool = False


@dataclass(frozen=True)
class Table:
    """One table; `hash_name` is the key that is the hash of its HASHED fields, if it has any."""

    name: str
    meaning: str
    fields: tuple[Field, ...]
    hash_name: str = ""

    @cached_property
    def by_name(self) -> Mapping[str, Field]:
        """The fields by their names."""
        return {field.name: field for field in self.fields}

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Names of the fields that tell rows apart."""
        return tuple(field.name for field in self.fields if field.role is Role.KEY)

    def row(self, **known: Any) -> dict[str, Any]:
        """A row with these fields, its hash, and null for all others; no name may be unknown.

        A number that JSON cannot say is null, and `reasons` says which it was.
        """
        if unknown := known.keys() - self.by_name.keys():
            raise TypeError(f"table {self.name} has no {', '.join(sorted(unknown))}")
        row: dict[str, Any] = {}
        reasons = dict(known.get("reasons") or {})
        for field in self.fields:
            value = known.get(field.name)
            row[field.name] = finite(value)
            if isinstance(value, float) and not math.isfinite(value):
                reasons[field.name] = f"it is {value}"
        row["reasons"] = reasons or None
        if self.hash_name:
            row[self.hash_name] = self.hash_of(row)
        return row

    def hash_of(self, row: Row) -> str:
        """The hash of what was asked, or is stable, in a row."""
        hashed = [field for field in self.fields if field.role is Role.HASHED]
        return digest(
            [[f.name, v] for f in hashed if (v := row[f.name]) is not None or not f.later]
        )


def finite(value: Any) -> Any:
    """The same tree, as JSON reads it, with null for every float that JSON cannot say."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    return value


def map_texts(value: Any, change: Callable[[str], str]) -> Any:
    """The same tree with every text changed, names of fields included."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {change(name): map_texts(entry, change) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [map_texts(entry, change) for entry in value]
    return value


def digest(value: Any) -> str:
    """The beginning of the SHA-256 of a JSON value, in hex; the order of names does not count."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_DIGITS]


_UNKNOWN = "not known"


def _key(name: str, type: Type, meaning: str) -> Field:
    return Field(name, type, meaning, Role.KEY)


def _asked(name: str, type: Type, meaning: str, unit: str = "", null: str = _UNKNOWN) -> Field:
    return Field(name, type, meaning, Role.HASHED, unit, null=null)


def _added(name: str, type: Type, meaning: str, null: str) -> Field:
    """One that was asked, and that the first results of this format version do not have."""
    return Field(name, type, meaning, Role.HASHED, null=null, later=True)


def _field(
    name: str, type: Type, meaning: str, unit: str = "", null: str = _UNKNOWN, each: bool = False
) -> Field:
    return Field(name, type, meaning, Role.PLAIN, unit, each, null)


_REASONS = _field("reasons", Type.TREE, "why fields of this row are null, by name", null="no more")

SESSION = Table(
    "session",
    "one command that measured, or one part of it with turns of its own",
    (
        _key("session_id", Type.TEXT, "random; of a file of version 1 the hash of its content"),
        _field("command", Type.TEXT, "name of the command", null=""),
        _field("machine_id", Type.TEXT, "the machine it ran on", null=""),
        _field("started", Type.TEXT, "when it began, ISO 8601", null=""),
        _field("ended", Type.TEXT, "when it ended, ISO 8601", null="it was killed"),
        _field("complete", Type.BOOLEAN, "whether all that was asked was done", null=""),
        _field("argv", Type.TEXTS, "the command line, without the program"),
        _field(
            "versions", Type.TREE, "version of Python and of each package that takes part", null=""
        ),
        _field("commit", Type.TEXT, "commit of cnn-bench, marked if changed", null="no checkout"),
        _field("settings", Type.TREE, "every option as it took effect", null=""),
        _field("seed", Type.INTEGER, "of the random order of turns"),
        _field("study", Type.TEXT, "hash of the study it belongs to", null="it belongs to none"),
        _field("warnings", Type.TEXTS, "what made times doubtful before it began", null=""),
        _field("import_check", Type.TREE, "how the model's file was read", null="not checked"),
        _field(
            "functions",
            Type.TREE,
            "SHA-256 of each file of functions of one's own (--functions), by name",
            null="none",
        ),
        _field(
            "truth",
            Type.TREE,
            "of the reference outputs: how many rows, how many of them tell, or its failure",
            null="nothing was compared",
        ),
        _field(
            "calibration_before_s", Type.REAL, "fastest run of a fixed loop at its beginning", "s"
        ),
        _field("calibration_after_s", Type.REAL, "the same loop at its end", "s", "it was killed"),
        _field(
            "steal_share",
            Type.REAL,
            "of the session's time, what the hypervisor took of the CPU that it took most of",
            "1",
            "the system does not tell",
        ),
        _field("load_before", Type.REAL, "load average over the minute before", "1"),
        _field("load_after", Type.REAL, "load average over the last minute", "1"),
        _REASONS,
    ),
)

MACHINE = Table(
    "machine",
    "the machine of a session; the hash is over what does not change from day to day",
    (
        _key("session_id", Type.TEXT, "the session that found it so"),
        _key("machine_id", Type.TEXT, "hash of the stable facts"),
        _asked("vendor", Type.TEXT, "of the processor, as it names itself"),
        _asked("family", Type.TEXT, "of the processor"),
        _asked("model", Type.TEXT, "of the processor, a number"),
        _asked("stepping", Type.TEXT, "of the processor"),
        _asked("features", Type.TEXTS, "instruction sets that decide a convolution's speed"),
        _asked("cores", Type.INTEGER, "physical cores", "1"),
        _asked("threads_per_core", Type.INTEGER, "logical CPUs of a core (SMT)", "1"),
        _asked("caches", Type.TREE, "size of each level of data cache, by name", "byte"),
        _asked("hypervisor", Type.TEXT, "name of the hypervisor, or yes", null="none"),
        _asked("architecture", Type.TEXT, "of the instructions"),
        _field("label", Type.TEXT, "the user's name of the machine (--label)", null="none"),
        _field("brand", Type.TEXT, "the processor's name as it is sold"),
        _field("memory_bytes", Type.INTEGER, "memory of the machine", "byte"),
        _field("memory_limit_bytes", Type.INTEGER, "the container's limit", "byte", "no limit"),
        _field("cpu_quota", Type.REAL, "CPUs' worth of time it may use", "1", "no limit"),
        _field("usable_cpus", Type.INTEGER, "logical CPUs it may run on", "1"),
        _field("usable_cores", Type.INTEGER, "physical cores of these", "1"),
        _field("kernel", Type.TEXT, "operating system and kernel"),
        _field("governor", Type.TEXT, "of the CPU's frequency", null="the system does not tell"),
        _field("turbo", Type.TEXT, "on or off", null="the system does not tell"),
        _REASONS,
    ),
    "machine_id",
)

SUBJECT = Table(
    "subject",
    "what was measured: the hash is over what was asked, the rest is what it turned out to be",
    (
        _key("session_id", Type.TEXT, "the session in which it was so"),
        _key("subject", Type.TEXT, "hash of what was asked"),
        _asked("backend", Type.TEXT, "name of the backend", null=""),
        _asked("configuration", Type.TEXT, "name of its configuration", null=""),
        _asked("processes", Type.INTEGER, "processes that share the work", "1", null=""),
        _asked("threads", Type.INTEGER, "threads of each process", "1", null=""),
        _asked("options", Type.TREE, "other options that it was given, by name", null=""),
        _field("description", Type.TEXT, "of the configuration, in words"),
        _field("cpus", Type.TREE, "numbers of the CPUs it was pinned to"),
        _field("precision", Type.TEXT, "in which it computed"),
        _field("layout", Type.TEXT, "of its tensors"),
        _field("algorithm", Type.TEXT, "of its convolutions"),
        _field("denormals", Type.TEXT, "what it does to denormal numbers"),
        _field("versions", Type.TREE, "of its packages"),
        _field("notes", Type.TEXTS, "what else it did differently"),
        _REASONS,
    ),
    "subject",
)

WORKLOAD = Table(
    "workload",
    "what it was measured on",
    (
        _key("workload", Type.TEXT, "hash of what was asked"),
        _asked("model_name", Type.TEXT, "name of the network", null="no network is run"),
        _asked(
            "model_sha256",
            Type.TEXT,
            "over the network's operators and the names, shapes and bytes of its weights",
        ),
        _asked("parameters", Type.INTEGER, "numbers that the network learned", "1"),
        _asked("data_fingerprint", Type.TEXT, "SHA-256 of the images"),
        _asked("split", Type.TEXT, "test or train", null="it has none, or not known"),
        _asked("samples", Type.INTEGER, "images of a run or query", "1", "as many as time allows"),
        _asked(
            "batch_size",
            Type.INTEGER,
            "images of a batch at most, if they come in batches",
            "1",
            "any",
        ),
        _asked(
            "scenario", Type.TEXT, "how the images arrive and what is observed, see below", null=""
        ),
        _asked("rate", Type.REAL, "queries that arrive", "1/s", "they do not, or when one is done"),
        _added("query", Type.TEXT, "name of the query in SQL", "there is none"),
        _added("sql", Type.TEXT, "what the query says", "there is none"),
        _field("macs", Type.INTEGER, "multiply-accumulates of an image", "1"),
        _field("data_name", Type.TEXT, "name of the data set"),
        _field("data_rows", Type.INTEGER, "images of the data set", "1"),
        _REASONS,
    ),
    "workload",
)

PARITY = (
    _field("max_abs", Type.REAL, "largest error", "1"),
    _field("max_rel", Type.REAL, "largest error over the largest reference", "1"),
    _field("max_ulp", Type.REAL, "largest error in units of the last place", "1"),
    _field("sqnr_db", Type.REAL, "signal to quantization noise", "dB", "no error, or not known"),
    _field("cosine", Type.REAL, "of the angle between output and reference", "1"),
    _field("top1_agreement", Type.REAL, "share of rows with the reference's class", "1"),
    _field("outside", Type.INTEGER, "elements outside of the tolerance", "1"),
    _field("min_tolerance", Type.REAL, "least t that would pass as rtol and atol", "1"),
    _field("noise_ratio", Type.REAL, "largest error of a column or row over float32's own", "1"),
    _field("parity_rows", Type.INTEGER, "rows that were compared", "1", "none"),
    _field("telling_rows", Type.INTEGER, "of these, rows that tell right from wrong", "1"),
)
"""How an output compares with the reference; docs/verdict.md."""

CELL = Table(
    "cell",
    "one subject on one workload in one session: how it ended, and whether its output was right",
    (
        _key("session_id", Type.TEXT, "the session that measured it"),
        _key("cell", Type.TEXT, "hash of subject and workload"),
        _asked("subject", Type.TEXT, "what was measured", null=""),
        _asked("workload", Type.TEXT, "what it was measured on", null=""),
        _field("status", Type.TEXT, "PASSED, or why not (docs/verdict.md)", null=""),
        _field("reason", Type.TEXT, "of the status, in words", null="none is needed"),
        _field("predicted_s", Type.REAL, "what a run would take that was not run", "s", "it ran"),
        *PARITY,
        _field("tolerance", Type.TREE, "rtol, atol and whether the user's, by output"),
        _field("accuracy", Type.REAL, "share of rows with the label's class", "1"),
        _field("top5_accuracy", Type.REAL, "share with it among the five most likely", "1"),
        _field("detail", Type.TREE, "what else is known of it", null="nothing else"),
        _field("log", Type.TEXT, "end of what its process printed", null="it did not fail"),
        _REASONS,
    ),
    "cell",
)

OBSERVATION = Table(
    "observation",
    "one number that was measured",
    (
        _key("session_id", Type.TEXT, "the session that measured it"),
        _key("cell", Type.TEXT, "the cell that it was measured in"),
        _key("metric", Type.TEXT, "what was measured, see below"),
        _key("part", Type.TEXTS, "of what in the cell, see below; empty for all of it"),
        _key("index", Type.INTEGER, "number of the run; in JSON that of the first"),
        _field("value", Type.REAL, "the number", each=True, null="undefined, or infinite"),
        _field("unit", Type.TEXT, "of the value: s, byte, joule, 1", null=""),
        _field("round", Type.INTEGER, "round of turns it was in", "1", "there are no rounds"),
        _field("order", Type.INTEGER, "number of its turn among all of the session", "1"),
        _field("start_s", Type.REAL, "when its turn began, after the first one did", "s"),
        _field("switches", Type.INTEGER, "how often a thread had to leave its CPU", "1", each=True),
        _field(
            "disturbance",
            Type.TREE,
            "what others took of its turn: wall_s, steal_s, others_s (CPU time), run_queue_s (of "
            "each thread), involuntary_switches",
            null="the system does not tell",
        ),
        _field("detail", Type.TREE, "what else is known of it", null="nothing else"),
        _REASONS,
    ),
)

TABLES = {table.name: table for table in (SESSION, MACHINE, SUBJECT, WORKLOAD, CELL, OBSERVATION)}
"""In the order in which one refers to the others: earlier rows are known by later ones."""

START, OFFLINE, CHECK = "start", "offline", "check"
SINGLE_STREAM, MULTI_STREAM, SERVER = "single-stream", "multi-stream", "server"
PROFILE, STREAM, PEAK, GOLDEN = "profile", "stream", "peak", "golden"
CLUSTER, EASE, WATCH = "cluster", "ease", "watch"

QUERY, RELATIONAL = "query", "relational"

LATENCIES = (SINGLE_STREAM, MULTI_STREAM, SERVER)
"""Scenarios of queries, whose latencies are observed (docs/scenarios.md)."""

SCENARIOS = {
    START: "a process from its start to the first result, and on to its end",
    OFFLINE: "all images are there at once, run after run",
    SINGLE_STREAM: "queries of one image, each when the one before is done",
    MULTI_STREAM: "queries of several images, each when the one before is done",
    SERVER: "queries of one image that arrive by chance, done or not, as a Poisson process",
    CHECK: "the first images once, to compare their outputs with the reference's",
    PROFILE: "all images at once, with and without the clocks of operators",
    STREAM: "images read from a file batch by batch, outputs let go",
    PEAK: "no network: what the machine can do",
    GOLDEN: "the images of a golden bundle once, every tensor compared with the bundle's",
    EASE: "no network: what it takes to use a backend",
    WATCH: "all images at once, by turns as A and as B, which are the same",
    CLUSTER: "images read from Parquet files, by one process or by the tasks of a cluster",
    QUERY: "a query in SQL with networks in it, from Parquet files to its rows",
    RELATIONAL: "no network: such a query, which reads from a file what networks would give",
}
"""Names and meanings of scenarios."""


@dataclass(frozen=True)
class Metric:
    """A kind of observation: what of, in which unit (empty: various), its part in words."""

    name: str
    unit: str
    part: str
    meaning: str


SQL_PARTS = ("scan", "relational", "conversion", "network", "rest")
"""Phases of a query in SQL: Parquet files read; filters, joins, groups, order; rows and images from
one engine's form to another's; networks; and what is in none of them, planning and threads that
wait."""

METRICS = {
    metric.name: metric
    for metric in (
        Metric("time", "s", "A or B (watch)", "one run, Arrow batches in to Arrow outputs out"),
        Metric("latency", "s", "", "one query, from when it was due to its outputs"),
        Metric(
            "phase",
            "s",
            f"input, compute, output, or waiting; of SQL {', '.join(SQL_PARTS)}",
            "a phase of that run or query; waiting: for the turn of a query that was due",
        ),
        Metric("profiled_time", "s", "", "one run with the clocks of operators on"),
        Metric("operator", "s", "number in the run, names of nodes", "an operator of that run"),
        Metric("kernels", "s", "", "all kernels of that run"),
        Metric("cpu", "s", "part of the work", "CPU time of that run, of all processes"),
        Metric("event", "1", "name", "hardware events of a run"),
        Metric("cold_start", "s", "process, import, build, first_inference, total", "of a start"),
        Metric("rss", "byte", "start or peak", "resident memory: before the backend, and largest"),
        Metric(
            "share", "s", "number of the process", "what a process took for its part of that run"
        ),
        Metric("share_rss", "byte", "number of the process", "its resident memory after a turn"),
        Metric("share_pss", "byte", "number of the process", "the same, shared pages divided"),
        Metric("held", "byte", "", "memory of the operators' batches, at most"),
        Metric("traffic", "byte", "", "what kernels pass on to each other, an image"),
        Metric("flops_per_second", "1/s", "", "floating-point operations, a multiply-add is two"),
        Metric("bandwidth", "byte/s", "kernel, level of memory", "of all threads together"),
        Metric("parity", "", "tensor, figure", "a figure of the table cell, of one tensor"),
        Metric("installed", "byte", "package", "files of what must be installed for a backend"),
        Metric("adapter_lines", "1", "", "code that puts a backend behind the common interface"),
        Metric("loop", "s", "", "one run of the fixed loop that calibration is of"),
        Metric("frequency", "1/s", "", "clock of a CPU that is used"),
        Metric("stage", "s", "start, import, build, run or total", "a stage of a verification"),
    )
}
"""The metrics that cnn-bench writes; others may come."""
