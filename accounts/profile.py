"""What people may change about themselves at will: their name."""

from datetime import datetime

from django.db import transaction

from accounts import audit
from accounts.models import User
from accounts.names import clean_full_name


def rename(*, user: User, full_name: str, now: datetime) -> User:
    """
    :returns: the person as they are from now on.
    :raises Refusal: `invalid`.
    """
    name = clean_full_name(full_name)
    with transaction.atomic():
        # Nothing but the name is written: what changed beside it meanwhile stays.
        User.objects.filter(pk=user.pk).update(full_name=name)
        audit.record("profile.renamed", now=now, actor=user, subject=user)
    user.full_name = name
    return user
