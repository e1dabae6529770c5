"""Where the command starts, as `cnn-bench` and as `python -m cnn_bench`.

The packages of this project have plain names, which packages of other projects may have too: of
two, Python takes the one whose folder comes first on its path. This module runs none but its own.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("adapters", "bench", "columnar_nn", "reference")

EXIT_USAGE = 2


def main() -> None:
    """Runs the command line and exits; with 2 and one line if another project hides a package."""
    for name in PACKAGES:
        if hiding := _hiding(name):
            print(
                f"cnn-bench: error: {str(hiding)!r} hides the package {name!r} of cnn-bench: call "
                "the command cnn-bench instead of python -m, take its folder off PYTHONPATH, or "
                "install cnn-bench in an environment of its own",
                file=sys.stderr,
            )
            sys.exit(EXIT_USAGE)
    from bench.cli import app

    app.main()


def _hiding(name: str) -> Path | None:
    """What Python finds instead of a package of ours, all of which lie beside this file."""
    spec = find_spec(name)
    if spec is None:  # the import will say so
        return None
    found = Path(str((*(spec.submodule_search_locations or ()), spec.origin)[0]))
    return None if found.parent.resolve() == Path(__file__).parent.resolve() else found


if __name__ == "__main__":
    main()
