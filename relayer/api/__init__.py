"""The relayer's API for dApps: REST, WebSocket, OpenAPI."""
