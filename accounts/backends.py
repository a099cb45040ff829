"""What people may do, by Django's permissions; not who they are, which pages and tokens ask in their own ways."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest

from accounts.models import User


class PermissionsBackend(ModelBackend):
    """
    ModelBackend's permissions and nothing else. No form of Django's signs anybody in past the limits and the second
    factor (`accounts.sign_in`), and no session of Django's alone is somebody's (`accounts.page_sessions`).
    """

    def authenticate(
        self,
        request: HttpRequest | None,  # noqa: ARG002  (Django's signature)
        username: str | None = None,  # noqa: ARG002
        password: str | None = None,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> User | None:
        return None

    def get_user(self, user_id: Any) -> User | None:  # noqa: ARG002
        return None
