"""The composition root: configuration, command line, devnet, demo."""
