"""
The proof of the ledger: everything that was written is computed again from nothing.

It shares no code with what writes (`posting` and its modules); only the documented form of the hash chain is
common to both. Each module here checks one subject and yields what does not hold.
"""
