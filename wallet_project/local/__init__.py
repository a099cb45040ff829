"""The local runner: the whole system on one machine with nothing but Python. Never part of production."""
