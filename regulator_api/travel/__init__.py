"""Travel-rule records: who sends value to whom, as institutions have to state it (FATF recommendation 16)."""
