"""Who may do what, and how others know that it is us: application tokens, certificates."""
