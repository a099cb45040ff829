"""How a password is kept: Argon2id (RFC 9106), whose memory is a setting."""

from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher


class SizedArgon2PasswordHasher(Argon2PasswordHasher):
    """
    Django's, with two passes and eight lanes, over as much memory as the settings say.

    A hash remembers its own cost, so each is made anew with the next sign-in after the setting changed.
    """

    memory_cost = settings.PASSWORD_HASH_KIB
