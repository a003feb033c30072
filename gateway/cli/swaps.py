"""`causeway swap`: one atomic swap from the command line."""
