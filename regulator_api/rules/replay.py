"""Engines of a cold run: a pool of processes of this machine, or Apache Spark. Neither knows a rule.

Both map `export.run_batches` over the buckets of an export and give the parts to `export.finish`.
"""

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import msgspec

from core.model.errors import FatalError, RejectedError
from core.runtime.garbage import collect_seldom
from regulator_api.rules import export
from regulator_api.rules.observation import Alert

ENGINES: Final = ("local", "spark")
MAX_PROCESSES: Final = 64
ORDER: Final = ("subject", "time_s", "chain", "height", "event_index", "direction")
Progress = Callable[[int, int], None]
"""How many of all parts are done."""


def run_local(folder: Path, processes: int, progress: Progress = lambda *_: None) -> list[Alert]:
    """Run the rules over an export in some processes of this machine. Raise what `export` raises."""
    if not 1 <= processes <= MAX_PROCESSES:
        raise RejectedError(f"between 1 and {MAX_PROCESSES} processes run, not {processes}")
    manifest = export.read_manifest(folder)
    files = export.bucket_files(folder, manifest)
    parts: list[bytes] = []
    if processes == 1:
        for done, file in enumerate(files, 1):
            parts += export.run_file(file, manifest)
            progress(done, len(files))
        return export.finish(parts, manifest)
    # Fresh processes: this one may have threads and open databases.
    with ProcessPoolExecutor(processes, get_context("spawn"), collect_seldom) as pool:
        running = [pool.submit(export.run_file, file, manifest) for file in files]
        for done, one in enumerate(as_completed(running), 1):
            parts += one.result()
            progress(done, len(files))
    return export.finish(parts, manifest)


def run_spark(folder: Path, master: str, progress: Progress = lambda *_: None) -> list[Alert]:
    """Run the rules over an export on Spark. Workers read the folder under the same path, and have this package.

    Raise `FatalError` if pyspark is not installed, or if Spark does not start.
    """
    manifest = export.read_manifest(folder)
    files = export.bucket_files(folder, manifest)
    session = _session(master)
    raw = msgspec.json.encode(manifest)

    def run(batches: Iterator[Any]) -> Iterator[Any]:
        import pyarrow

        known = msgspec.json.decode(raw, type=export.Manifest)
        found: list[bytes] = []
        for one in export.run_batches(batches, known):
            found.append(one)
            if len(found) == export.BATCH:
                yield pyarrow.RecordBatch.from_arrays([pyarrow.array(found, pyarrow.binary())], ["part"])
                found = []
        yield pyarrow.RecordBatch.from_arrays([pyarrow.array(found, pyarrow.binary())], ["part"])

    try:
        # The order of text in Spark is that of its UTF-8 bytes: for CAIP identifiers, which are ASCII, Python's.
        frame = session.read.parquet(*(file.resolve().as_uri() for file in files)).select(*export.COLUMNS)
        sorted_frame = frame.repartition(manifest.buckets, "subject").sortWithinPartitions(*ORDER)
        rows = sorted_frame.mapInArrow(run, "part binary").collect()
    finally:
        session.stop()
    progress(len(files), len(files))
    return export.finish((bytes(row["part"]) for row in rows), manifest)


def _session(master: str) -> Any:
    # Workers run this interpreter: the configuration's key alone is not enough.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    if master.startswith("local") or "127.0.0.1" in master or "localhost" in master:
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    try:
        from pyspark.sql import SparkSession
    except ModuleNotFoundError:
        raise FatalError("Spark needs pyspark and Java 17: pip install 'causeway-gateway[spark]'") from None
    try:
        session = (
            SparkSession.builder.master(master)
            .appName("causeway supervise replay")
            .config("spark.ui.enabled", "false")
            .config("spark.sql.adaptive.enabled", "false")
            .config("spark.driver.host", os.environ.get("SPARK_LOCAL_IP", "127.0.0.1"))
            .config("spark.executorEnv.PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
            .getOrCreate()
        )
    except Exception as error:
        raise FatalError(f"Spark did not start with the master {master}: {error}") from None
    session.sparkContext.setLogLevel("ERROR")
    return session
