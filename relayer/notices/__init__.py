"""Messages to others: reports of agreed terms."""
