"""Runs functions in a process of their own, as Velox may abort when its process ends."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """What `function`, of an importable module, returns or raises in a fresh process."""
    with tempfile.TemporaryDirectory() as name:
        request, answer = Path(name, "request"), Path(name, "answer")
        request.write_bytes(pickle.dumps((function, arguments)))
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(os.path.abspath(entry) for entry in sys.path),
            "OMP_NUM_THREADS": "1",
        }
        command = [sys.executable, __file__, str(request), str(answer)]
        subprocess.run(command, check=True, env=environment, timeout=500)
        succeeded, result = pickle.loads(answer.read_bytes())
    if not succeeded:
        raise result
    return result


def main() -> None:
    """The process itself: reads the request, writes the answer, leaves without exit handlers."""
    request, answer = map(Path, sys.argv[1:])
    try:
        function, arguments = pickle.loads(request.read_bytes())
        result = (True, function(*arguments))
    except Exception as error:
        result = (False, error)
    answer.write_bytes(pickle.dumps(result))
    os._exit(0)


if __name__ == "__main__":
    main()
