"""
Django's page sessions, whose rows do not tell whose they are: a cookie opens its row, and a stolen copy of the database
opens no session.

A key has 165 random bits, which no guess finds, so a digest without a secret hides it (OWASP ASVS 5.0, 7.2; as
`accounts.known_devices` keeps its tokens).
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

from django.contrib.sessions.backends import db
from django.contrib.sessions.base_session import AbstractBaseSession
from django.utils import timezone

# In hexadecimal, as long as Django's column.
_DIGEST_BYTES: Final = 20


class SessionStore(db.SessionStore):
    """Everywhere that Django's own asks by the key, this one asks by its digest."""

    def load(self) -> dict[str, Any]:
        row = self.model.objects.filter(
            session_key=digest_of(self.session_key or ""), expire_date__gt=timezone.now()
        ).first()
        if row is None:
            # Never the key that the browser named: it would choose its own.
            self._session_key = None
            return {}
        return dict(self.decode(row.session_data))

    def exists(self, session_key: str) -> bool:
        return bool(self.model.objects.filter(session_key=digest_of(session_key)).exists())

    def create_model_instance(self, data: Mapping[str, Any]) -> AbstractBaseSession:
        row = super().create_model_instance(data)  # type: ignore[arg-type]
        row.session_key = digest_of(row.session_key)
        return row

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            self.model.objects.filter(session_key=digest_of(key)).delete()


def digest_of(session_key: str) -> str:
    """What stands in the row of this key."""
    return blake2b(session_key.encode(), digest_size=_DIGEST_BYTES).hexdigest()
