"""The pump: facts become events, effects become transactions. A relayer and a dApp's client both run it."""
