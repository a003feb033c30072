"""What others are sent: reports of agreed terms."""
