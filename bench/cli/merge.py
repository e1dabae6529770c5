"""`cnn-bench merge`: several files of results as one, or one in another form."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import FilesArgument
from bench.cli.saving import save
from bench.files.atomic_folder import new_folder
from bench.files.output import OutputFile
from bench.results import columns, document, merging
from bench.results.schema import TABLES
from columnar_nn.errors import UsageError, printable

EXIT_CONTRADICTION = 3
"""Exit status where what files say of machines cannot be true together."""


def merge(
    files: FilesArgument,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The merged results: a JSON document, - is standard output; a name that ends in "
            ".parquet or .arrow is a new folder with a file for each table.",
        ),
    ],
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE=NAME", help="Names the machine of a file; repeatable."),
    ] = None,
) -> None:
    """Merge files of results: the union of their tables.

    What two files say of the same thing must be equal. Exit status: 0 merged, 2 wrong usage or
    files that are none, 3 what they say of machines cannot be true together.
    """
    labels = _labels(label or (), files)
    folder = Path(output) if Path(output).suffix in columns.SUFFIXES else None
    target = OutputFile(output)
    if folder is None:
        try:
            target.check()
        except UsageError as error:
            raise UsageError(f"--output {output}: {error}") from None
    parts = [merging.labelled(document.read(file), labels.get(str(file))) for file in files]
    try:
        results = merging.merged(parts)
    except merging.ContradictionError as error:
        print(f"cnn-bench: {error}", file=sys.stderr)
        raise typer.Exit(EXIT_CONTRADICTION) from None
    for warning in merging.warnings(results):
        print(f"cnn-bench: warning: {printable(warning)}", file=sys.stderr)
    if folder is None:
        raise typer.Exit(save(target, document.to_json(results), again=True))
    with new_folder(folder) as temporary:
        tables = {name: results.table(name) for name in TABLES}
        columns.write(tables, temporary, folder.suffix)


def _labels(texts: list[str] | tuple[()], files: list[Path]) -> dict[str, str]:
    """Labels by file; raises UsageError for a text without = and for a file that is not merged."""
    found = {}
    for text in texts:
        file, _, name = text.rpartition("=")
        if not file or not name:
            raise UsageError(f"--label {text!r}: expected FILE=NAME such as a.json=laptop")
        if file not in map(str, files):
            raise UsageError(f"--label {text!r}: {file} is none of the files to merge")
        found[file] = name
    return found
