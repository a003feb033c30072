"""Reading: chains' facts as people ask for them, each answer with its moment, by the caller's scope."""
