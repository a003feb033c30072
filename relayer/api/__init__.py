"""The relayer's API for dApps: REST, WebSocket, OpenAPI.

app = create_api(service.desk, chains, database, clock, metrics, watchtower=service.watchtower)
async with serve(app, "127.0.0.1", 8080) as address: ...
"""

from relayer.api.answers import Answers
from relayer.api.application import create_api

__all__ = ["Answers", "create_api"]
