"""The databases: opened in one place, written through one `with store.write()`, audited in the same
transaction. Nothing else in the appliance imports sqlcipher3 or sqlite_utils."""

from appliance.db.store import Row, Store, Transaction, known

__all__ = ["Row", "Store", "Transaction", "known"]
