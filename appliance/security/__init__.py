"""Who may do what: application tokens now; users, roles and TLS join with the admin page."""
