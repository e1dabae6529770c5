"""`cnn-bench cache`: the compiled kernels kept on disk."""

from __future__ import annotations

import typer

from columnar_nn.kernels import cache
from columnar_nn.kernels.cache import CacheInfo

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.callback()
def commands() -> None:
    """Show or clear the cache of compiled kernels."""


@app.command()
def info() -> None:
    """Print where the cache is and what it holds."""
    found = cache.info()
    print(f"folder      {found.folder}")
    print(f"generation  {found.generation} (of {found.generations} stored)")
    print(f"holds       {_contents(found)}")


@app.command()
def clear() -> None:
    """Delete every compiled kernel; the next run compiles again."""
    found = cache.clear()
    print(f"deleted {_contents(found)} from {found.folder}")


def _contents(found: CacheInfo) -> str:
    return f"{found.kernels:,} kernel(s), {found.num_bytes / 2**20:.1f} MiB"
