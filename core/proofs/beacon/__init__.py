"""The light client of Ethereum's beacon chain: headers that a sync committee signed. Pure."""
