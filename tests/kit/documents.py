"""Makes the kit's types of both APIs from the documents that their servers give: `python -m tests.kit.documents`."""

import asyncio
from pathlib import Path
from typing import Any, Final

import aiohttp

from core.runtime.clock import ManualClock
from core.runtime.database import open_database
from kit.generate import TYPES, types
from tests.regulator_api.api import prepare, serving
from tests.relayer.api.world import ApiWorld, run_fast

RELAYER: Final = TYPES / "relayer.types.ts"
REGULATOR: Final = TYPES / "regulator.types.ts"


def made() -> dict[Path, str]:
    """Return each file's text."""
    return {
        RELAYER: types("a relayer's API", relayer_document()),
        REGULATOR: types("the supervision API", asyncio.run(regulator_document())),
    }


def relayer_document() -> dict[str, Any]:
    """Return what a relayer's server answers to `/openapi.json`."""
    found: list[dict[str, Any]] = []

    async def ask() -> None:
        world = ApiWorld()
        async with (
            world.served() as address,
            aiohttp.ClientSession() as session,
            session.get(f"{address}/openapi.json") as answer,
        ):
            found.append(await answer.json())

    run_fast(ask())
    return found[0]


async def regulator_document() -> dict[str, Any]:
    """Return what a supervision API's server answers to `/openapi.json`."""
    database = open_database("sqlite:///:memory:")
    try:
        await prepare(database)
        async with serving(database, [], ManualClock()) as api:
            document: dict[str, Any] = (await api.ask("/openapi.json", None)).body
            return document
    finally:
        await database.close()


if __name__ == "__main__":
    for path, text in made().items():
        path.write_text(text, encoding="utf-8")
