"""Rows and queries of registry.db, one family of tables a file.

Rows are frozen dataclasses; reads take a `Store`, writes a `Transaction`, so that a caller decides
what commits together. The registry row is the truth about a thing: everything else follows it.
"""
