"""`python -m local_chains.consortium.engine.abci HOME SOCKET`: one node's ledger, in a process of its own.

It says `ready` when the node may connect. It ends by SIGTERM, or when its standard input does: with its parent.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from core.model.errors import CausewayError
from core.runtime.exhaustion import exhausted
from core.runtime.garbage import collect_seldom
from core.runtime.logging import configure_logging
from local_chains.consortium.engine.abci.application import open_application
from local_chains.consortium.engine.abci.server import AbciServer
from local_chains.consortium.rebuilding import RebuildProgress


async def serve(home: Path, socket: Path) -> None:
    """Serve until asked to end. Raise what the application dies of."""
    loop = asyncio.get_running_loop()
    ending = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ending.set)

    def parent_spoke() -> None:
        if not os.read(sys.stdin.fileno(), 1):
            ending.set()

    loop.add_reader(sys.stdin.fileno(), parent_spoke)
    application = await open_application(home, progress=RebuildProgress())
    server = AbciServer(application)
    try:
        await server.start(socket)
        print("ready", flush=True)
        server.failed.add_done_callback(lambda _: ending.set())
        await ending.wait()
        if server.failed.done():
            server.failed.result()
    finally:
        await server.stop()
        await application.close()


def main() -> int:
    home, socket = (Path(argument) for argument in sys.argv[1:3])
    configure_logging()
    collect_seldom()
    try:
        asyncio.run(serve(home, socket))
    except Exception as error:
        said = _first_word(error)
        if said is None:
            raise
        print(said, file=sys.stderr, flush=True)
        return 1
    return 0


def _first_word(error: BaseException | None) -> str | None:
    """Return the sentence of what went wrong first: a process without memory fails once more while it ends."""
    said = None
    while error is not None:
        known = error if isinstance(error, CausewayError) else exhausted(error, "the ledger")
        said = said if known is None else known.message
        error = error.__cause__ or error.__context__
    return said


if __name__ == "__main__":
    sys.exit(main())
