"""The pump: workers, executor, transactions, dApp API and client."""
