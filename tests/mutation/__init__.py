"""`make mutants`: small faults in the pure modules, one at a time; a test has to fail for each."""
