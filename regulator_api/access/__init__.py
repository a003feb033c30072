"""Who may ask what: tokens, keys, scopes, jurisdictions and limits."""
