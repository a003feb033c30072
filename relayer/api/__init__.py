"""The relayer's API for dApps: REST, WebSocket, OpenAPI.

app = create_api(service.desk, chains, database, clock, metrics, watchtower=service.watchtower)
async with serve(app, "127.0.0.1", 8080) as address: ...
"""

from typing import TYPE_CHECKING

from core.runtime.lazy import lazily

if TYPE_CHECKING:
    from relayer.api.answers import Answers
    from relayer.api.application import create_api
else:
    __getattr__ = lazily(
        __name__,
        {
            "Answers": "relayer.api.answers",
            "create_api": "relayer.api.application",
        },
    )

__all__ = ["Answers", "create_api"]
