"""CometBFT's RPC in front of an engine: JSON-RPC by POST, by URI, and over a WebSocket."""
