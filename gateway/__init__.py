"""Configuration, wiring and command line: the one place where adapters meet ports."""
