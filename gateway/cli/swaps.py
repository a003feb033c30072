"""`causeway swap`: one atomic swap on the running devnet, step by step."""
