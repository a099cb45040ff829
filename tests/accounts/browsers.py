"""A browser that is signed in, for tests of what comes after."""

from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.test import Client
from django.utils import timezone

from accounts.consents import agree_by_registration
from accounts.models import Session, User
from accounts.page_sessions import open_page_session
from accounts.stored_sessions import SessionStore


def force_login(self: Client, user: User, backend: Any = None, *, factor: bool = False) -> None:
    """
    Stands in for the method of Django's test client, whose session would be one that no `Session` row knows. They have
    agreed to the terms, as whoever registers has.

    :param factor: as somebody who showed a second factor.
    """
    agree_by_registration(user=user)
    request = HttpRequest()
    request.session = SessionStore()
    request.user = AnonymousUser()
    session = open_page_session(request, user=user, factor=factor or user.second_factor, now=timezone.now())
    if not factor:
        # No sign-in leads there any more, once they have one; whoever looks at the session must not rely on that.
        Session.objects.filter(pk=session.pk).update(factor_at=None)
    request.session.save()
    assert request.session.session_key is not None
    self.cookies[settings.SESSION_COOKIE_NAME] = request.session.session_key
