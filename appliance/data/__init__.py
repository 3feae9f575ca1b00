"""Tables in: readers, snapshots, profiles, and the signature that turns rows into numbers.

Import the module that is needed, not this package: `signature` and `types` stay free of polars
because the inference process loads them.
"""
