"""`cnn-bench show`: the tables of results that were kept."""

from __future__ import annotations

from collections.abc import Iterator

from bench.cli import terminal
from bench.cli.options import FilesArgument
from bench.compare import report
from bench.doctor import report as observed
from bench.results import document, listing
from bench.results.results import Results
from bench.results.schema import Row, map_texts
from bench.results.summary import summarize
from bench.study import report as findings
from columnar_nn.errors import CnnBenchError, InvalidDataError, printable


def show(files: FilesArgument) -> None:
    """Print the tables of results as the command that measured them did.

    Of a comparison, a study and doctor all of them, of other commands every metric's median. Exit
    status: 0 shown, 2 wrong usage or a file that is none.
    """
    console = terminal.output()
    for file in files:
        results = document.read(file)
        try:
            for session, found in _parts(results):
                part = Results.of((name, map_texts(row, _shown)) for name, row in found)
                if session["command"] == "compare":
                    report.show(summarize(part), console)
                elif session["command"] == "doctor":
                    observed.show(part, console)
                elif session["study"] is not None:
                    findings.show(part, console)
                else:
                    listing.show(part, console)
        except CnnBenchError as error:
            raise InvalidDataError(f"{file}: {error}") from None


def _parts(results: Results) -> Iterator[tuple[Row, Results]]:
    """What is shown together, with its first session: of one study on one machine all sessions."""
    found: dict[object, list[Row]] = {}
    for session in results["session"]:
        alone = session["study"] is None
        key = session["session_id"] if alone else (session["study"], session["machine_id"])
        found.setdefault(key, []).append(session)
    for sessions in found.values():
        parts = (results.session(session["session_id"]) for session in sessions)
        yield sessions[0], Results.of(row for part in parts for row in part)


def _shown(text: str) -> str:
    """A text as a terminal may get it: from anyone's file, it could hold control characters."""
    return "\n".join(map(printable, text.split("\n")))
