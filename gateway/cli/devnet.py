"""`causeway up`, `causeway demo`, `causeway status`: the devnet, and what runs on it."""
