"""A backend in a worker process that is held: stopped while nothing is asked of it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.machine.disturbance import Disturbance, Snapshot
from bench.verdict.status import CRASHED
from bench.workers.inputs import Inputs
from bench.workers.options import Options
from bench.workers.process import SESSION, WorkerError, WorkerProcess
from bench.workers.selection import Selection


class HeldWorker:
    """One worker process; it runs only while it answers, so that no idle thread slows its peers.

    The process is started by the first command, in a new folder below `folder`; its commands are
    the methods of `session`, and `variables` are added to its environment. `start`, `build` and
    `ask` raise WorkerError if a command fails; once the worker has ended they raise what it ended
    with. In a `with` block it is finished at the end, and killed if the block raises.
    """

    def __init__(
        self,
        options: Options,
        folder: Path,
        session: str = SESSION,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._options = options
        self._folder = folder
        self._session = session
        self._variables = variables
        self._process: WorkerProcess | None = None
        self._imported: str | None = None
        self._gpu = False
        self._failure = WorkerError(CRASHED, "it was ended before this command", fatal=True)
        self._lost = False
        self._ended = False
        self.peak_rss_bytes = 0
        """Largest resident memory that any of its replies told of, restarts included."""
        self.log = ""
        """The end of what it had printed when a command last failed."""

    @property
    def running(self) -> bool:
        """Whether it has been started, and was not ended by `finish` or `kill`."""
        return self._process is not None and not self._ended

    @property
    def lost(self) -> bool:
        """Whether its process crashed, or did not answer and was ended: it takes no commands."""
        return self._lost

    @property
    def pids(self) -> tuple[int, ...]:
        """Number of its process, which must have been started."""
        assert self._process is not None, "asked before its first command"
        return (self._process.pid,)

    def start(self, selection: Selection, data: Inputs) -> dict[str, Any]:
        """In a new process imports, builds and runs a backend once, each timed.

        The first run is of one image, or of as many as a network takes that is tied to a batch
        size. Returns the fields of bench.results.result.BackendRecord that a cold start has.
        """
        model_file = data.onnx_of(selection.backend)  # which a user has when the clock starts
        self.kill()
        self._process, self._imported = None, None
        self._ended = self._lost = False
        parts = self.build(selection, data.graph, self._options.batch_size, model_file)
        rows = data.first_batch
        first = self.ask("run", images=str(data.images), samples=rows, batch_size=rows)
        return {
            **parts,
            "first_inference_s": first["times"][0],
            "cold_start_s": first["since_start"],
        }

    def build(
        self,
        selection: Selection,
        graph: Path,
        batch_size: int,
        model_file: Path | None = None,
    ) -> dict[str, Any]:
        """Builds the backend for a pickled graph, in place of the one that it built before.

        `model_file` is the same network as an ONNX file, if that was written.

        Returns `build_s`, and of the first time also `process_s`, `import_s` and
        `start_rss_bytes` as BackendRecord has them.
        """
        parts: dict[str, Any] = {}
        self._gpu = selection.gpu
        if self._imported is None:
            imported = self.ask("import_framework", backend=selection.backend)
            parts = {
                "process_s": imported["process_seconds"],
                "import_s": imported["seconds"],
                "start_rss_bytes": imported["start_rss_bytes"],
            }
            self._imported = selection.backend
        else:
            assert self._imported == selection.backend, "a worker imports one framework"
            self.ask("close")
        built = self.ask(
            "build",
            graph=str(graph),
            model_file=model_file and str(model_file),
            configuration=selection.configuration,
            threads=self._options.threads,
            batch_size=batch_size,
            algorithm=self._options.algorithm,
        )
        return {**parts, "build_s": built["seconds"]}

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """One command of its session, and the reply."""
        if self._ended:
            raise self._failure
        try:
            if self._process is None:
                folder = Path(tempfile.mkdtemp(prefix="worker-", dir=self._folder))
                self._process = WorkerProcess(
                    folder, self._options.cpus, self._session, self._variables, self._gpu
                )
            self._process.resume()
            try:
                reply = self._process.request(command, self._options.timeout, **arguments)
            finally:
                self._process.pause()
        except WorkerError as error:
            self._failure = error
            self._lost = error.fatal
            self.log = self._process.log_tail() if self._process is not None else ""
            raise
        self.peak_rss_bytes = max(self.peak_rss_bytes, reply.get("peak_rss_bytes", 0))
        return reply

    def watch(self, command: str, **arguments: Any) -> tuple[dict[str, Any], Disturbance | None]:
        """As `ask`, and what others took of its time meanwhile; not its first command."""
        before = Snapshot.take(self.pids, self._options.cpus)
        reply = self.ask(command, **arguments)
        after = Snapshot.take(self.pids, self._options.cpus)
        return reply, before.until(after) if before and after else None

    def finish(self) -> None:
        """Lets the backend release what it holds, whatever comes of it, and ends the process."""
        if self.running:
            assert self._process is not None
            self._process.close()
        self._ended = True

    def kill(self) -> None:
        """Ends the process at once, whatever it is doing; harmless if it has ended already."""
        if self._process is not None:
            self._process.kill()
        self._ended = True

    def __enter__(self) -> HeldWorker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self.kill()
