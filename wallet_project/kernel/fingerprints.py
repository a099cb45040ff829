"""Fingerprints of requests: equal exactly for equal requests, whatever the spelling of their JSON."""

import hashlib

import rfc8785


def fingerprint(endpoint: str, **fields: str | None) -> bytes:
    """
    SHA-256 over the RFC 8785 form of the endpoint and its parsed fields.

    Callers hand over values in one spelling: an amount as `Money.text` ("5" and "5.00" are one request), a default
    filled in, free text as typed, None for what was not given.
    """
    return hashlib.sha256(rfc8785.dumps({"endpoint": endpoint, "fields": fields})).digest()
