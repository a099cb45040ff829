"""How Django's own sessions (pages and admin) find a person: by a verified e-mail or phone, never when blocked."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest

from accounts.addresses import MalformedAddress, any_address
from accounts.models import User
from accounts.sign_in import check_credentials
from wallet_project.kernel.errors import Refusal


class VerifiedAddressBackend(ModelBackend):
    """
    Knows nobody who is unverified or blocked, so a blocked person's open page session ends with their next
    request (`get_user` asks `is_active`). Permissions are ModelBackend's.
    """

    def authenticate(
        self,
        request: HttpRequest | None,  # noqa: ARG002  (Django's signature)
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,  # noqa: ARG002
    ) -> User | None:
        """For the admin's form, which says the same of every refusal."""
        if username is None or password is None:
            return None
        try:
            return check_credentials(address=any_address(username), password=password)
        except (MalformedAddress, Refusal):
            return None
