"""How an API request says who it is: `Authorization: Bearer <access token>`."""

from typing import Any

from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework_simplejwt.authentication import JWTAuthentication

from accounts import sessions, tokens
from accounts.models import Session, User
from accounts.queries import session_with_user
from wallet_project.kernel.errors import Refusal


class AccessTokenAuthentication(JWTAuthentication):
    """
    SimpleJWT reads the header; our tokens are read and held against the database here, in one query a request:
    the session must live, the token's version must still be the person's, and they must not be blocked.

    Sets `request.user` (with its `actor` at hand) and `request.auth` (the token's claims).

    :raises Refusal: `token_invalid`, `blocked`.
    """

    # Its types name SimpleJWT's own token class, which ours is not.
    def get_validated_token(self, raw_token: bytes) -> tokens.Claims:  # type: ignore[override]
        try:
            return tokens.decode(raw_token.decode("ascii"), type=tokens.ACCESS, now=timezone.now())
        except (tokens.TokenRefused, UnicodeDecodeError) as error:
            raise Refusal("token_invalid") from error

    def get_user(self, validated_token: tokens.Claims) -> User:  # type: ignore[override]
        session = session_with_user(validated_token.session)
        if session is None or session.user.uuid != validated_token.user:
            raise Refusal("token_invalid")
        user = session.user
        if user.status == User.Status.BLOCKED:
            raise Refusal("blocked")
        if (
            session.kind != Session.Kind.API
            or not sessions.is_open(session=session, now=timezone.now())
            or user.token_version != validated_token.token_version
        ):
            raise Refusal("token_invalid")
        return user


class AccessTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the schema describes it; drf-spectacular finds this class by itself."""

    target_class = AccessTokenAuthentication
    name = "accessToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:  # noqa: ARG002
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
