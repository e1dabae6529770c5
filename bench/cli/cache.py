"""`cnn-bench cache`: what is kept on disk because it can be made again."""

from __future__ import annotations

import typer

from columnar_nn.settings import cache_root
from columnar_nn.settings.cache_root import Contents

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.callback()
def commands() -> None:
    """Show or clear the cache: compiled kernels, and results of checked imports.

    CNN_BENCH_CACHE_DIR names another folder for all of it.
    """


@app.command()
def info() -> None:
    """Print where the cache is and what it holds."""
    print(f"{'folder':14} {cache_root.root()}")
    for contents in cache_root.info():
        print(f"{contents.kind:14} {_text(contents)}")


@app.command()
def clear() -> None:
    """Delete all of it and nothing else; the next run makes again what it needs."""
    for contents in cache_root.clear():
        print(f"{'deleted':14} {contents.kind}: {_text(contents)}")
    print(f"{'folder':14} {cache_root.root()}")


def _text(contents: Contents) -> str:
    return f"{contents.num_files:,} file(s), {contents.num_bytes / 2**20:.1f} MiB"
