"""A Spark session for a command: on a master, bound to this machine where that is all, or Sail."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cluster import failure
from bench.files.temporary import temporary_folder
from columnar_nn.errors import CnnBenchError, MissingPackageError, UsageError, first_line
from columnar_nn.integrations.batches import MAX_ROWS
from columnar_nn.settings import variables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ENGINES = ("spark", "sail")
JAVA = 17
"""The least version that Spark 4 runs on."""

LOOPBACK = "127.0.0.1"
_PLACE = r"[\w.-]+:[1-9]\d*"
_MASTER = re.compile(
    r"local|local\[([1-9]\d*|\*)(,[1-9]\d*)?\]|local-cluster\[[1-9]\d*,[1-9]\d*,[1-9]\d*\]"
    rf"|spark://{_PLACE}(,{_PLACE})*|yarn|k8s://\S+"
)
_CONNECT_S, _END_S = 5.0, 20.0

_SETTINGS = {
    "spark.app.name": "cnn-bench",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.execution.arrow.maxRecordsPerBatch": str(MAX_ROWS),
}


@dataclass(frozen=True)
class Opened:
    """A session, the engine behind it, and the seconds until it was there."""

    spark: SparkSession
    engine: str
    seconds: float

    @property
    def cores(self) -> int:
        """Of all executors that are there by now; of Sail, whose threads share a process, 1."""
        if self.engine == "sail":
            return 1
        return int(self.spark.sparkContext.defaultParallelism)


def is_this_machine(master: str) -> bool:
    """Whether a master's executors are all on this machine."""
    return master.startswith(("local", "spark://localhost:", f"spark://{LOOPBACK}:"))


def check_master(master: str) -> None:
    """Raises UsageError unless Spark would take it for a master."""
    if not _MASTER.fullmatch(master):
        raise UsageError(
            f"--master {master!r}: use local[2], local-cluster[2,1,1024], spark://HOST:PORT, yarn "
            "or k8s://URL"
        )


def parse_settings(texts: list[str]) -> dict[str, str]:
    """Spark's settings from "name=value"; raises UsageError."""
    pairs = [text.partition("=") for text in texts]
    for name, equals, _ in pairs:
        if not (equals and name.startswith("spark.")):
            raise UsageError(f"--conf {name!r}: write spark.name=value")
    return {name: value for name, _, value in pairs}


@contextmanager
def session(engine: str, master: str, settings: Mapping[str, str]) -> Iterator[Opened]:
    """Yields a session that ends with the block.

    Sail has neither masters nor settings. Raises UsageError for a master that is none or cannot be
    reached, and where Java is missing, MissingPackageError, and CnnBenchError for what fails inside
    Spark while the block goes on. What Spark logs, in hundreds of lines, is seen with --debug.
    """
    start = time.perf_counter()
    if engine == "spark":
        check_master(master)
        _refuse_unreachable(master)
    elif master or settings:
        raise UsageError("--master and --conf are for --on spark: Sail runs in this process")
    try:
        import pyspark
    except ImportError:
        raise MissingPackageError("pyspark", "cluster") from None
    if engine == "sail":
        with _sail() as spark, _one_line("Sail"):
            yield Opened(spark, engine, time.perf_counter() - start)
        return
    refuse_without_java()
    os.environ.setdefault("SPARK_HOME", str(Path(pyspark.__file__).parent))
    with temporary_folder() as folder:
        handler = signal.getsignal(signal.SIGINT)
        spark = _started(master, {**_settings(master, folder), **settings})
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)  # Spark sets one of its own
        if not variables.debug():
            _silence()
        with _ended_if_it_fails(), contextlib.ExitStack() as stack:
            stack.callback(spark.stop)
            stack.enter_context(_one_line("Spark"))
            yield Opened(spark, engine, time.perf_counter() - start)


@contextmanager
def _ended_if_it_fails() -> Iterator[None]:
    """Waits for the end of the JVM then: tasks of what has failed may write files for a while."""
    from pyspark import SparkContext

    gateway: Any = SparkContext._gateway
    try:
        yield
    except (CnnBenchError, KeyboardInterrupt):
        if gateway.proc is not None:  # it is ours
            _end(gateway)
            SparkContext._gateway = SparkContext._jvm = None
        raise


def _end(gateway: Any) -> None:
    gateway.shutdown()
    gateway.proc.stdin.close()
    try:
        gateway.proc.wait(_END_S)
    except subprocess.TimeoutExpired:
        gateway.proc.kill()
        gateway.proc.wait()


def _settings(master: str, folder: Path) -> dict[str, str]:
    """Spark's settings; where all of it is on this machine, executors' own files in the folder."""
    chosen = {**_SETTINGS, "spark.log.level": "ERROR" if variables.debug() else "OFF"}
    if is_this_machine(master):
        os.environ["SPARK_LOCAL_IP"] = LOOPBACK
        python = os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        if shutil.which(python) is None:
            raise UsageError(f"PYSPARK_PYTHON={python}: there is no such program: unset it")
        chosen |= {
            "spark.driver.host": LOOPBACK,
            "spark.driver.bindAddress": LOOPBACK,
            "spark.driver.memory": "1g",
            "spark.executor.memory": "1g",
            "spark.executor.extraJavaOptions": f'-Djava.io.tmpdir="{folder}"',
            "spark.sql.shuffle.partitions": "2",
        }
    return chosen


def _silence() -> None:
    """Has nothing shown of the tracebacks that pyspark and py4j log, the latter by the root."""
    for name in ("py4j", "SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    logging.getLogger().addFilter(_is_not_of_py4j)


def _is_not_of_py4j(record: logging.LogRecord) -> bool:
    return Path(record.pathname).parent.name != "py4j"


@contextmanager
def _one_line(engine: str) -> Iterator[None]:
    """Raises CnnBenchError, with the cause alone, where the engine raises what it likes."""
    try:
        yield
    except Exception as error:
        if not failure.is_of_spark(error):
            raise
        raise CnnBenchError(f"{engine}: {failure.cause(error)}") from error


def _refuse_unreachable(master: str) -> None:
    """Raises UsageError if no master of a standalone cluster listens; Spark would wait for it."""
    if not master.startswith("spark://"):
        return
    for place in master.removeprefix("spark://").split(","):
        host, _, port = place.rpartition(":")
        try:
            socket.create_connection((host, int(port)), _CONNECT_S).close()
        except (OSError, OverflowError) as error:
            reason = first_line(error)
        else:
            return
    raise UsageError(f"--master {master}: cannot connect ({reason}): is a master running there?")


def refuse_without_java() -> None:
    """Raises UsageError unless Spark will find a Java that it runs on."""
    if (version := java_version()) < JAVA:
        found = f"Java {version} is too old" if version else "no Java is found"
        raise UsageError(
            f"{found}: Spark needs Java {JAVA} or later; install it, or set JAVA_HOME to it"
        )


def java_version() -> int:
    """The major version of the Java that Spark would start; 0 if there is none."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if not java:
        return 0
    try:
        told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    except OSError:
        return 0
    version = re.search(r'version "(?:1\.)?(\d+)', told.stderr + told.stdout)
    return int(version[1]) if version else 0


def _started(master: str, settings: Mapping[str, str]) -> SparkSession:
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master(master)
    for name, value in settings.items():
        builder = builder.config(name, value)
    try:
        return builder.getOrCreate()
    except Exception as error:  # of the JVM, whatever it is called there
        cause = failure.cause(error)
        if master.startswith("spark://"):
            cause += "; is it a master of this version of Spark?"
        raise UsageError(f"Spark does not start on {master}: {cause}") from error


@contextmanager
def _sail() -> Iterator[SparkSession]:
    """A session of a Sail server in this process, on a port that is free.

    The session is stopped before the server: one that goes first leaves calls waiting.
    """
    try:
        from pysail.spark import SparkConnectServer
        from pyspark.sql import SparkSession
        from pyspark.sql.connect import session as _  # needs gRPC
    except ImportError as error:
        raise MissingPackageError(error.name or "pysail or pyspark-client", "sail") from None

    if not variables.debug():
        os.environ.setdefault("RUST_LOG", "off")
    server = SparkConnectServer(ip=LOOPBACK, port=0)
    server.start(background=True)
    try:
        _, port = server.listening_address
        spark = SparkSession.builder.remote(f"sc://{LOOPBACK}:{port}").getOrCreate()
        try:
            _refuse_unless_served(spark)
            yield spark
        finally:
            spark.stop()
    finally:
        server.stop()


def _refuse_unless_served(spark: SparkSession) -> None:
    """Raises UsageError where Sail does not understand what this pyspark says."""
    import pyspark

    try:
        spark.range(1).collect()
    except Exception as error:  # of gRPC, whatever it is called there
        raise UsageError(
            f"Sail does not serve pyspark {pyspark.__version__} ({first_line(error)}): install the "
            'extra "cnn-bench[sail]" in an environment of its own'
        ) from None
