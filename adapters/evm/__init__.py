"""Any Ethereum JSON-RPC chain behind the ports."""
