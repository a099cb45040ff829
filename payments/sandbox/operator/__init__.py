"""
The operator's page and its doors for programs: whatever a gateway's staff, a bank or bad luck would do.

It is open to whoever is on this machine, like the book, and to nobody else: see guard.py.
"""
