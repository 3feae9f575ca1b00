"""One version takes over from another: a snapshot, a rehearsal on a copy, then the switch; and the way back.

Nothing here starts or stops a role: `upgrade.sh` of the package does, and the command `falaj upgrade`.
"""
