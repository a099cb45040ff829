"""What a password must be. How it is kept (Argon2id, RFC 9106) is Django's hasher, named in the settings."""

from typing import Final

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from accounts.models import User
from wallet_project.kernel.errors import Refusal

# Hashing costs by length; nobody's password manager makes longer ones.
LONGEST: Final = 256


def check_password_is_fit(*, password: str, user: User, field: str = "password") -> None:
    """
    Length, common passwords, and likeness to this person's name and addresses (the validators in the settings).

    :raises Refusal: `invalid`, an error for each rule that it breaks.
    """
    if len(password) > LONGEST:
        raise Refusal.of_field(field, f"Use at most {LONGEST} characters.", "password_too_long")
    try:
        validate_password(password, user)
    except ValidationError as error:
        errors = [
            {"field": field, "code": broken.code or "invalid", "detail": " ".join(broken.messages)}
            for broken in error.error_list
        ]
        raise Refusal("invalid", errors[0]["detail"] if len(errors) == 1 else "", errors=errors) from error
