"""
How a page's request says who it is: Django's session names a `Session` row, which is read with its person and their
actor in one query and held against all that can end it.
"""

from datetime import datetime
from hmac import compare_digest
from typing import Any, Final

from django.contrib.auth import HASH_SESSION_KEY, login, logout
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from accounts import device_cookies, push, sessions
from accounts.models import Session, User
from accounts.queries import session_with_user
from accounts.tasks import wake_sender
from wallet_project.kernel.ids import parse_public_id

# In Django's session: the public id of ours.
_SESSION: Final = "signed_in"


class PageAuthenticationMiddleware(AuthenticationMiddleware):
    """
    Sets `request.user`, read when first looked at: the person of an open session, with their `actor` at hand; else
    nobody. Either has django-otp's `is_verified()`: whether a second factor was shown in this session.
    """

    def process_request(self, request: HttpRequest) -> None:
        request.user = SimpleLazyObject(lambda: _person_of(request))  # type: ignore[assignment]

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        tokens = getattr(request, "_device_tokens", None)
        if tokens is not None:
            device_cookies.keep(response, tokens=tokens)
        return response


def open_page_session(request: HttpRequest, *, user: User, factor: bool, now: datetime) -> Session:
    """
    Sign this browser in, under a new session id and a new forgery token. Whoever was signed in here before is signed
    out. The caller has judged the password, and with `factor` the second factor.
    """
    before = session_of(request)
    begun = sessions.begin(
        user=user,
        kind=Session.Kind.PAGES,
        device_tokens=device_cookies.shown_by(request),
        factor=factor,
        now=now,
    )
    push.leave_to(user=user, device_tokens=begun.device_tokens)
    if before is not None:
        sessions.end(user=before.user, session=before.public_id, now=now)
    old_id = request.session.session_key
    login(request, user)
    # Django keeps the id of somebody who signs in again; whoever planted or saw it would be signed in with them.
    if request.session.session_key == old_id:
        request.session.cycle_key()
    request.session[_SESSION] = begun.session.public_id
    _keep(request, user, begun.session)
    request._device_tokens = begun.device_tokens  # type: ignore[attr-defined]
    wake_sender(begun.messages)
    return begun.session


def close_page_session(request: HttpRequest) -> None:
    """Sign this browser out; twice is as good as once."""
    session = session_of(request)
    if session is not None:
        sessions.end(user=session.user, session=session.public_id, now=timezone.now())
    logout(request)
    request.user = _nobody()


def session_of(request: HttpRequest) -> Session | None:
    """The open session that this request belongs to."""
    if not request.user.is_authenticated:
        return None
    found: Session | None = getattr(request, "_page_session", None)
    return found


def _person_of(request: HttpRequest) -> User | AnonymousUser:
    named = request.session.get(_SESSION)
    if named is None:
        return _nobody()
    place = parse_public_id(Session.PREFIX, named)
    session = None if place is None else session_with_user(place)
    now = timezone.now()
    if (
        session is None
        or session.kind != Session.Kind.PAGES
        or not sessions.is_open(session=session, now=now)
        or not _is_of_this_version(request, session.user)
    ):
        request.session.flush()
        return _nobody()
    match = request.resolver_match
    # A page left open is nobody who uses it.
    if match is None or not getattr(match.func, "looks_by_itself", False):
        sessions.note_use(session=session, now=now)
    _keep(request, session.user, session)
    return session.user


def _is_of_this_version(request: HttpRequest, user: User) -> bool:
    kept = str(request.session.get(HASH_SESSION_KEY, ""))
    return any(
        compare_digest(kept, hash) for hash in (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    )


def _keep(request: HttpRequest, user: Any, session: Session) -> None:
    request._page_session = session  # type: ignore[attr-defined]
    user.is_verified = lambda: session.factor_at is not None


def _nobody() -> AnonymousUser:
    nobody: Any = AnonymousUser()
    nobody.is_verified = lambda: False
    return nobody  # type: ignore[no-any-return]
