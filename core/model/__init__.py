"""The vocabulary every room shares: types, facts, questions, ports, errors. No I/O, no clock, no randomness."""
