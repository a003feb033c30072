"""Knowledge about accounts: tags with sources and dates, entities, and the lists that both are imported from."""
