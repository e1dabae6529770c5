"""Verifications and bisections as tables; nothing here decides."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.golden import manifest as manifests
from bench.golden.bisect import INHERITED, OWN, Bisection, OperatorError
from bench.golden.comparison import TensorResult
from bench.golden.create import Created
from bench.golden.verify import Verification
from bench.text.figures import counted
from bench.text.table_style import WIDTH, print_table
from bench.verdict.precision import BFLOAT16
from bench.verdict.status import FAILED, MISTRUSTED, NOT_RUN, PASSED

_SPARE = ("cosine", "min tol", "max abs")
_NAME_WIDTH = 12
_OPERATOR_WIDTH = 8
_MAX_NAMES = 6
_UNKNOWN = "-"


def show_creation(
    created: Created, folder: str, spoiled_weights: Sequence[str], console: Console
) -> None:
    """Lines about a new bundle, and a warning if weights hold NaN or infinity."""
    manifest = created.manifest
    if spoiled_weights:
        names = escape(", ".join(spoiled_weights))
        _print(
            console,
            f"[yellow]warning:[/] weights with NaN or infinity: {names}; where they make tensors "
            "so, nothing else can be told",
        )
    size = sum(entry.bytes for entry in manifest.files.values())
    _print(
        console,
        f"{folder}: {len(manifest.tensors)} tensors of {counted(manifest.rows, 'image')}, "
        f"{size / 1e6:,.2f} MB, model {manifest.files[manifest.model_file].sha256[:12]}, "
        f"images {manifest.files[manifest.data.file].sha256[:12]}",
    )
    silent = manifest.rows - created.telling
    if silent:
        _print(
            console,
            f"[yellow]{silent:,} of {counted(manifest.rows, 'image')}, dimmed, would give the "
            "same outputs and so say nothing:[/] choose others with --start",
        )


def show_verification(verification: Verification, console: Console) -> None:
    """The table of tensors, the first diverging one, who made it, and its worst elements."""
    _print(console, _heading(verification))
    if verification.results:
        print_table(console, _tensor_table(verification.results), _SPARE)
    _show_reasons(verification.results, console)
    _show_rule(verification, console)
    _show_silence(verification, console)
    _show_first_diverging(verification, console)
    _show_top1(verification.results, console)
    _show_backend(verification, console)
    count = Counter(result.status for result in verification.results)
    summary = f"{count[PASSED]} of {len(verification.results)} tensors passed"
    if count[MISTRUSTED]:
        summary += f", {count[MISTRUSTED]} say{'s' if count[MISTRUSTED] == 1 else ''} nothing"
    reason = f"; {escape(verification.reason)}" if verification.reason else ""
    _print(console, f"{_status(verification.status)}: {summary}{reason}")


def show_bisection(bisection: Bisection, console: Console) -> None:
    """Each operator's own error beside the inherited one, and who is to blame."""
    verification = bisection.verification
    _print(console, f"{_heading(verification)}: each operator on its golden input")
    print_table(console, _bisection_table(bisection.operators), ("atol",))
    for error in bisection.operators:
        if error.reason:
            _print(console, f"  {escape(error.tensor.operator)} alone: {escape(error.reason)}")
    if verification.reason:
        _print(console, f"the network as a whole: {escape(verification.reason)}")
    culprits = [f"{_operator(error.own)}" for error in bisection.culprits if error.own]
    inherited = sum(error.source == INHERITED for error in bisection.operators)
    if culprits:
        heirs = f"; {inherited} tensor(s) only inherited an error" if inherited else ""
        _print(console, f"[bold red]Wrong by themselves:[/] {', '.join(culprits)}{heirs}")
    else:
        alone = sum(error.own is not None for error in bisection.operators)
        _print(
            console,
            f"No operator is wrong by itself, of the {alone} of {len(bisection.operators)} that "
            f"ran alone; the network as a whole: {_status(verification.status)}",
        )


def plain_text(verification: Verification) -> str:
    """The verification as text without colours, as for a test's failure message."""
    text = io.StringIO()
    show_verification(verification, Console(file=text, width=WIDTH, color_system=None))
    return text.getvalue()


def _heading(verification: Verification) -> str:
    subject, expected = escape(verification.subject), escape(verification.expected)
    fingerprint = f" ({verification.fingerprint[:12]})" if verification.fingerprint else ""
    images = counted(verification.rows, "image")
    return f"[bold]{subject}[/] against [bold]{expected}[/]{fingerprint}, {images}"


def _tensor_table(results: Sequence[TensorResult]) -> Table:
    table = _table(
        ["tensor", "operator", "shape"],
        ["max abs", "max rel", "÷noise", "SQNR dB", "cosine", "outside", "min tol", "status"],
    )
    for result in results:
        tensor, parity = result.tensor, result.parity
        figures = [_UNKNOWN] * 7
        if result.verdict is not None and parity is not None:
            figures = [
                _number(parity.max_abs),
                _number(parity.max_rel),
                _ratio(max(result.verdict.column_ratio, result.verdict.row_ratio)),
                _decibel(parity.sqnr_db),
                _cosine(parity.cosine),
                _count(parity.outside),
                _number(parity.min_tolerance),
            ]
        table.add_row(
            _end(tensor.name),
            escape(tensor.op_type),
            "x".join(map(str, tensor.shape)) or "scalar",
            *figures,
            _status(result.status),
        )
    return table


def _bisection_table(operators: Sequence[OperatorError]) -> Table:
    table = _table(
        ["tensor", "operator", "shape"],
        ["own", "inherited", "total", "atol", "alone", "in network", "error is"],
    )
    for error in operators:
        tensor = error.tensor
        own = error.own.parity if error.own else None
        whole = error.whole.parity if error.whole else None
        styles = {OWN: "bold red", INHERITED: "yellow"}
        table.add_row(
            _end(tensor.name),
            escape(tensor.op_type),
            "x".join(map(str, tensor.shape)) or "scalar",
            _number(own.max_abs if own else math.nan),
            _number(error.inherited),
            _number(whole.max_abs if whole else math.nan),
            _number(tensor.tolerance.atol),
            _status(error.own.status if error.own else NOT_RUN),
            _status(error.whole.status if error.whole else NOT_RUN),
            f"[{styles.get(error.source, 'default')}]{error.source or 'none'}[/]",
        )
    return table


def _show_reasons(results: Iterable[TensorResult], console: Console) -> None:
    """Why tensors did not pass, unless the column "outside" has said it already."""
    for result in results:
        counted = result.reason.endswith("outside the tolerance")
        if result.status == MISTRUSTED or (result.status == FAILED and not counted):
            _print(console, f"  {escape(result.tensor.name)}: {escape(result.reason)}")


def _show_rule(verification: Verification, console: Console) -> None:
    """The rule in one sentence, and the tensors that are judged by the user's own tolerance."""
    own = [result.tensor.name for result in verification.results if result.tensor.explicit]
    exception = ""
    if own:
        named = escape(_listed(own)) if len(own) < len(verification.results) else "every tensor"
        exception = f"; of {named}, by --rtol and --atol: {manifests.ELEMENTWISE_RULE}"
    if verification.results:
        console.print(f"[dim]rule: {verification.rule}{exception}[/]", highlight=False)


def _show_silence(verification: Verification, console: Console) -> None:
    """How many columns and images would agree whatever the backend did."""
    verdicts = [(r.tensor.name, r.verdict) for r in verification.results if r.verdict is not None]
    columns = {name: verdict.silent_columns for name, verdict in verdicts}
    rows = {name: verdict.silent_rows for name, verdict in verdicts}
    parts = []
    if any(columns.values()):
        of_columns = sum(verdict.columns for _, verdict in verdicts)
        counts = [f"{name} {count:,}" for name, count in columns.items() if count]
        parts.append(f"{sum(columns.values()):,} of {of_columns:,} columns ({_listed(counts)})")
    if any(rows.values()):
        counts = [f"{name} {count:,}" for name, count in rows.items() if count]
        parts.append(f"images in {_listed(counts)} of {verification.rows:,}")
    if parts:
        console.print(f"what says nothing: {escape('; '.join(parts))}", highlight=False)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MAX_NAMES])
    return f"{shown} and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else shown


def _show_first_diverging(verification: Verification, console: Console) -> None:
    first = verification.first_diverging
    if first is None:
        return
    tensor, tolerance = first.tensor, first.tensor.tolerance
    known = verification.first_diverging_operator is not None
    what = f"operator: {_operator(first)}" if known else f"tensor: {escape(tensor.name)}"
    _print(
        console,
        f"[bold red]First diverging {what}[/], within "
        f"atol {tolerance.atol:.3g} + rtol {tolerance.rtol:.3g} |expected|",
    )
    if not known and tensor.operator:
        _print(
            console,
            f"It is made by {_operator(first)}: that operator is wrong, or one before it, of which "
            "no tensor was compared",
        )
    if not first.worst:
        return
    table = _table(["  worst elements: image, index"], ["output", "expected", "error", "allowed"])
    for element in first.worst:
        image, *index = element.index
        table.add_row(
            f"  {image}, [{', '.join(map(str, index))}]".replace("[", r"\["),
            f"{element.output:.7g}",
            f"{element.expected:.7g}",
            _number(abs(element.output - element.expected)),
            _number(element.allowed),
        )
    print_table(console, table)


def _show_top1(results: Iterable[TensorResult], console: Console) -> None:
    for result in results:
        tensor, parity = result.tensor, result.parity
        if tensor.is_output and len(tensor.shape) == 1 and tensor.shape[0] > 1 and parity:
            share = parity.top1_agreement
            agreement = "unknown" if math.isnan(share) else f"{share:.2%}"
            _print(
                console,
                f"top-1 agreement of {escape(tensor.name)}: {agreement} of "
                f"{counted(parity.rows, 'image')}",
            )


def _show_backend(verification: Verification, console: Console) -> None:
    seconds, description = verification.seconds, verification.description
    if description:
        notes = "".join(f"; {note}" for note in description["notes"])
        versions = " ".join(" ".join(pair) for pair in description["versions"].items())
        line = (
            f"{versions}, {description['precision']}, {description['layout']}, "
            f"{description['algorithm']}, {description['threads']} thread(s){notes}"
        )
        console.print(escape(line), highlight=False)
        if description["precision"] == BFLOAT16.name:
            _print(
                console,
                f"it computes in {BFLOAT16.name} and is held to float32 here, as every engine is: "
                f"cnn-bench compare has the rule for {BFLOAT16.name}",
            )
    if seconds:
        phases = [name for name in seconds if name != "total"]
        listed = ", ".join(f"{name} {seconds[name]:.2f} s" for name in phases)
        rest = seconds["total"] - sum(seconds[name] for name in phases)
        _print(console, f"engine: {listed}; reading and comparing {rest:.2f} s")


def _operator(result: TensorResult) -> str:
    tensor = result.tensor
    return f"{escape(tensor.operator)} ({escape(tensor.op_type)})"


def _table(left: Sequence[str], right: Sequence[str]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False)
    for heading in left:
        width = _OPERATOR_WIDTH if heading == "operator" else None
        table.add_column(heading, no_wrap=True, max_width=width)
    for heading in right:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _status(status: str) -> str:
    style = {PASSED: "green", NOT_RUN: "dim", MISTRUSTED: "yellow"}.get(status, "bold red")
    return f"[{style}]{status}[/]"


def _number(value: float) -> str:
    if math.isnan(value):
        return _UNKNOWN
    return "0" if value == 0 else f"{value:.1e}"


def _count(value: float) -> str:
    if math.isnan(value):
        return _UNKNOWN
    return f"{value:.0f}" if value < 100_000 else f"{value:.0e}"


def _ratio(value: float) -> str:
    if math.isnan(value):
        return _UNKNOWN
    return f"{value:.1f}" if value < 1000 else f"{value:.0e}"


def _decibel(value: float) -> str:
    return _UNKNOWN if math.isnan(value) else f"{value:.1f}"


def _cosine(value: float) -> str:
    return _UNKNOWN if math.isnan(value) else f"{value:.5f}"


def _end(name: str) -> str:
    """The end of a long name, which tells layers apart."""
    return escape(name if len(name) <= _NAME_WIDTH else "…" + name[1 - _NAME_WIDTH :])


def _print(console: Console, text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True)
