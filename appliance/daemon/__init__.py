"""The processes: one a role under systemd, or all of them as children of `falaj run`."""
