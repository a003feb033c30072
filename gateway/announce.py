"""How a daemon says that it is ready, and learns that it should stop."""

import asyncio
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def announce(name: str, url: str, as_json: bool, *, ready: bool = True) -> None:
    """One line on standard output; `gateway.processes` reads the JSON form. Not `ready`: it only listens so far."""
    if as_json:
        print(json.dumps({"ready" if ready else "listening": True, "name": name, "url": url}), flush=True)
    elif ready:
        print(f"{name} is ready at {url}; Ctrl-C stops it", flush=True)
    else:
        print(f"{name} starts; {url}/readyz says what it waits for", flush=True)


@contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """An event that SIGINT and SIGTERM set while the block runs. A second signal ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked() -> None:
        if stop.is_set():
            sys.exit(130)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked)
    try:
        yield stop
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
