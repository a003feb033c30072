"""A cold run over exported histories says the same, byte for byte, on whatever engine, and as the daemon did."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest
from pyarrow import parquet

from core.model.errors import RejectedError
from core.runtime.database import InlineDatabase
from core.runtime.sockets import free_port
from regulator_api.knowledge.store import load_labels
from regulator_api.rules import export as exporting
from regulator_api.rules.catalogue import RuleSet
from regulator_api.rules.observation import encode_alerts
from regulator_api.rules.reading import Knowledge
from regulator_api.rules.replay import run_local, run_spark
from regulator_api.rules.versions import load_rates, load_rules
from tests.regulator_api.rules.test_engine import _stored
from tests.regulator_api.rules.test_routes import _filled
from tests.support import eventually

PATIENCE_S = 600.0
"""For a process of Spark to come up, on a machine with other work."""
needs_spark = pytest.mark.skipif(
    not os.environ.get("CAUSEWAY_SPARK") and (find_spec("pyspark") is None or shutil.which("java") is None),
    reason="needs pyspark and Java 17: `make spark-test`",
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """An export of a filled database, and the alerts that the engine raised there."""
    folder = tmp_path_factory.mktemp("export") / "histories"

    async def make() -> bytes:
        database = InlineDatabase()
        await _filled(database)

        def work(connection: object) -> None:
            knowledge = Knowledge(RuleSet(load_rules(connection)), load_labels(connection), load_rates(connection))  # type: ignore[arg-type]
            exporting.export(connection, knowledge, folder, buckets=4)  # type: ignore[arg-type]

        await database.read(work)
        said = encode_alerts(await database.read(_stored))
        await database.close()
        return said

    return folder, asyncio.run(make())


@pytest.mark.parametrize("processes", [1, 2])
def test_local_engine_says_what_the_daemon_said(exported: tuple[Path, bytes], processes: int) -> None:
    folder, said = exported
    done: list[tuple[int, int]] = []
    found = encode_alerts(run_local(folder, processes, lambda *one: done.append(one)))
    assert found == said
    assert len(json.loads(found)) > 13
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]


@needs_spark
@pytest.mark.filterwarnings("ignore")  # its own, about its own dependencies
def test_spark_in_this_process_says_the_same_bytes(exported: tuple[Path, bytes]) -> None:
    folder, said = exported
    assert encode_alerts(run_spark(folder, "local[2]")) == said


@needs_spark
@pytest.mark.filterwarnings("ignore")  # its own, about its own dependencies
async def test_spark_with_two_workers_says_the_same_bytes(exported: tuple[Path, bytes], tmp_path: Path) -> None:
    folder, said = exported
    async with _spark_cluster(tmp_path) as master:
        found = await asyncio.to_thread(partial(run_spark, folder, master))
    assert encode_alerts(found) == said


@asynccontextmanager
async def _spark_cluster(folder: Path) -> AsyncIterator[str]:
    """A standalone master and two workers, each a process of its own on 127.0.0.1."""
    spec = find_spec("pyspark")
    assert spec is not None
    assert spec.origin is not None
    home = Path(spec.origin).parent
    environment = os.environ | {
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_NO_DAEMONIZE": "1",
        "SPARK_DAEMON_MEMORY": "256m",
        "PYSPARK_PYTHON": sys.executable,
    }
    port = free_port()
    master = f"spark://127.0.0.1:{port}"
    base = "org.apache.spark.deploy"
    local = ("--host", "127.0.0.1", "--webui-port", "0")
    started: list[asyncio.subprocess.Process] = []

    async def start(name: str, *arguments: str) -> Path:
        log = folder / f"{name}.log"
        with log.open("wb") as file:
            started.append(
                await asyncio.create_subprocess_exec(
                    str(home / "bin/spark-class"), *arguments, *local, env=environment, stdout=file, stderr=file
                )
            )
        return log

    async def says(log: Path, text: str, times: int = 1) -> None:
        await eventually(lambda: log.read_text(errors="replace").count(text) >= times, PATIENCE_S)

    try:
        log = await start("master", f"{base}.master.Master", "--port", str(port))
        await says(log, "New state: ALIVE")
        for number in (1, 2):
            work = ("-c", "1", "-m", "1g", "-d", str(folder / f"work-{number}"))
            await start(f"worker-{number}", f"{base}.worker.Worker", *work, master)
        await says(log, "Registering worker", 2)
        yield master
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            await process.wait()


@pytest.mark.parametrize("processes", [1, 2])
def test_export_that_is_damaged_is_refused(exported: tuple[Path, bytes], tmp_path: Path, processes: int) -> None:
    folder, _ = exported
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    file, manifest = copy / "histories-02.parquet", copy / exporting.MANIFEST
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(RejectedError, match="histories-02.parquet holds no histories"):
        run_local(copy, processes)
    shutil.copy(folder / file.name, file)
    parquet.write_table(parquet.read_table(file).drop_columns(["passage"]), file)
    with pytest.raises(RejectedError, match="histories-02.parquet holds no histories"):
        run_local(copy, processes)
    said = json.loads(manifest.read_bytes())
    for wrong in ({"version": 2}, {"buckets": 0}, {"buckets": 10**12}):
        manifest.write_text(json.dumps(said | wrong))
        with pytest.raises(RejectedError, match="no export"):
            run_local(copy, processes)


def test_export_that_is_not_whole_is_refused(exported: tuple[Path, bytes], tmp_path: Path) -> None:
    folder, _ = exported
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "histories-02.parquet").unlink()
    with pytest.raises(RejectedError, match="histories-02"):
        run_local(copy, 1)
    (copy / exporting.MANIFEST).write_text("{}")
    with pytest.raises(RejectedError, match="no export"):
        run_local(copy, 1)
    with pytest.raises(RejectedError, match="processes"):
        run_local(folder, 0)
