"""A day of ours held against the gateway's books, kind by kind; nothing is posted here."""
