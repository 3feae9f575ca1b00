"""What the management API and the admin page share: who calls, what is refused, and how it is told."""
