"""
Passkeys (W3C Web Authentication, level 2) as the second factor at the pages: registered, shown, removed.

A challenge is made for one ceremony of one purpose, kept in the page session and taken out of it before the answer is
judged (`accounts.passkey_challenges`), so an answer is good once. Attestation is not asked for: whichever make of
authenticator a person trusts is theirs to choose.
"""

import ipaddress
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

import structlog
import webauthn
from django.conf import settings
from django.db import IntegrityError, transaction
from webauthn.helpers import parse_authentication_credential_json, parse_registration_credential_json
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from accounts import recovery_codes
from accounts.factor_changes import ENROLLED, NewCodes, after_change, lock_person, require_again, require_to_add
from accounts.models import Passkey, RecoveryDevice, User
from wallet_project.kernel.card_numbers import refuse_card_number
from wallet_project.kernel.errors import Refusal

log = structlog.get_logger("accounts.passkeys")

NAME: Final = "Wallet"
MOST: Final = 10
LONGEST_NAME: Final = 60
LONGEST_ANSWER: Final = 20_000
# What the library raises for an answer that a browser never made: besides its own, whatever parsing stumbles over.
_MALFORMED: Final = (WebAuthnException, ValueError, TypeError, LookupError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Site:
    """:ivar rp_id: the name that passkeys belong to. :ivar origin: where the ceremony takes place."""

    rp_id: str
    origin: str

    @property
    def can_have_passkeys(self) -> bool:
        """Browsers know passkeys of names, not of IP addresses."""
        try:
            ipaddress.ip_address(self.rp_id)
        except ValueError:
            return True
        return False


@dataclass(frozen=True, slots=True)
class Asked:
    """:ivar options: for the browser, JSON. :ivar challenge: what its answer must hold."""

    options: str
    challenge: bytes


def site(*, host: str) -> Site:
    """
    Where we are: at PUBLIC_URL. The local demo may also be opened as `localhost`, which browsers allow without TLS.

    :param host: of the request, with its port; believed only as far as that.
    """
    if settings.IS_LOCAL and host.partition(":")[0] == "localhost":
        return Site("localhost", f"http://{host}")
    return Site(urlsplit(settings.PUBLIC_URL).hostname or "", settings.PUBLIC_URL)


def passkeys_of(*, user: User) -> list[Passkey]:
    """Oldest first."""
    return list(Passkey.objects.filter(user=user).order_by("pk")[:MOST])


def ask_to_register(
    *, user: User, site: Site, password: str, code: str, shown_at: datetime | None, now: datetime
) -> Asked:
    """
    :param code: of the factor that is on already.
    :param shown_at: when one was last shown in the session that asks; a moment ago stands for the code.
    :raises Refusal: `credentials_invalid`, `otp_required`, `otp_invalid`, `too_many_tries`, `limit_exceeded`.
    """
    require_to_add(user=user, password=password, code=code, now=now, signed_in_at=None, shown_at=shown_at)
    theirs = passkeys_of(user=user)
    if len(theirs) >= MOST:
        raise Refusal("limit_exceeded", f"You have {MOST} passkeys already. Remove one first.")
    options = webauthn.generate_registration_options(
        rp_id=site.rp_id,
        rp_name=NAME,
        # Not their address: the handle rests on the authenticator (section 14.6.1).
        user_id=user.uuid.bytes,
        user_name=user.email or user.phone or user.public_id,
        user_display_name=user.full_name,
        exclude_credentials=_descriptors(theirs),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED, user_verification=UserVerificationRequirement.PREFERRED
        ),
    )
    return Asked(webauthn.options_to_json(options), options.challenge)


def register(
    *, user: User, site: Site, challenge: bytes, answer: str, name: str, keep: uuid.UUID | None, now: datetime
) -> NewCodes:
    """
    Keep what the browser made: from now on a second factor is asked for. Every other session ends.

    :param answer: the browser's credential, as JSON.
    :returns: ten recovery codes where there were none before; else none.
    :raises Refusal: `code_invalid` (not the answer to this challenge at this place), `invalid`, `limit_exceeded`.
    """
    name = name.strip() or "Passkey"
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise Refusal.of_field("name", f"Give it a name of at most {LONGEST_NAME} characters.")
    refuse_card_number(field="name", text=name)
    try:
        credential = parse_registration_credential_json(_bounded(answer))
        made = webauthn.verify_registration_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=site.rp_id,
            expected_origin=site.origin,
        )
    except _MALFORMED as error:
        log.info("passkeys.not_registered", user=user.public_id, reason=type(error).__name__)
        raise Refusal("code_invalid", "That passkey could not be added. Try again.") from error
    transports = [transport.value for transport in credential.response.transports or []]
    try:
        with transaction.atomic():
            lock_person(user)
            if Passkey.objects.filter(user=user).count() >= MOST:
                raise Refusal("limit_exceeded", f"You have {MOST} passkeys already. Remove one first.")
            Passkey.objects.create(
                user=user,
                credential_id=made.credential_id,
                public_key=made.credential_public_key,
                sign_count=made.sign_count,
                transports=transports,
                name=name,
                created_at=now,
            )
            has_codes = RecoveryDevice.objects.filter(user=user).exists()
            codes = [] if has_codes else recovery_codes.make(user=user, now=now)
            messages = after_change(user=user, kind=ENROLLED, change="passkey added", keep=keep, now=now)
    except IntegrityError as error:
        # Somebody's already, and one authenticator makes no two alike.
        raise Refusal("code_invalid", "That passkey is in use already.") from error
    return NewCodes(codes, messages)


def ask_to_show(*, user: User, site: Site) -> Asked:
    options = webauthn.generate_authentication_options(
        rp_id=site.rp_id,
        allow_credentials=_descriptors(passkeys_of(user=user)),
        user_verification=UserVerificationRequirement.PREFERRED,
    )
    return Asked(webauthn.options_to_json(options), options.challenge)


def check(*, user: User, site: Site, challenge: bytes, answer: str, now: datetime) -> Passkey:
    """
    One of this person's passkeys answered this challenge at this place. Signatures are not guessed, so failures are
    not counted: wrong codes, a stranger's, never keep out who holds the passkey.

    :raises Refusal: `otp_invalid`.
    """
    try:
        credential = parse_authentication_credential_json(_bounded(answer))
        passkey = Passkey.objects.filter(user=user, credential_id=credential.raw_id).first()
        if passkey is None:
            raise Refusal("otp_invalid", "That passkey is not one of yours.")
        shown = webauthn.verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=site.rp_id,
            expected_origin=site.origin,
            credential_public_key=bytes(passkey.public_key),
            # Where it counts, a count that does not grow is a copy's (section 6.1.1); the library refuses it.
            credential_current_sign_count=passkey.sign_count,
        )
    except _MALFORMED as error:
        log.warning("passkeys.refused", user=user.public_id, reason=type(error).__name__)
        raise Refusal("otp_invalid", "That passkey was not accepted. Try again.") from error
    # As it was read: of two answers judged at once one is taken.
    same = Passkey.objects.filter(pk=passkey.pk, sign_count=passkey.sign_count, last_used_at=passkey.last_used_at)
    if same.update(sign_count=shown.new_sign_count, last_used_at=now) != 1:
        raise Refusal("otp_invalid", "That passkey was not accepted. Try again.")
    return passkey


def passkey_of(*, user: User, pk: int) -> Passkey:
    """
    :raises Refusal: `not_found`, for unknown ones and other people's alike.
    """
    found = Passkey.objects.filter(user=user, pk=pk).first()
    if found is None:
        raise Refusal("not_found")
    return found


def remove(
    *,
    user: User,
    pk: int,
    password: str,
    code: str,
    keep: uuid.UUID | None,
    now: datetime,
    shown_at: datetime | None,
) -> list[int]:
    """
    It opens nothing any more. Every other session ends.

    :param code: an app's, or a recovery code.
    :param shown_at: when a factor was last shown in the session that asks; a moment ago stands for the code.
    :returns: ids of the messages that now wait.
    :raises Refusal: `not_found`, `credentials_invalid`, `otp_invalid`, `too_many_tries`.
    """
    passkey_of(user=user, pk=pk)
    require_again(user=user, password=password, code=code, kind="factor.removed", now=now, shown_at=shown_at)
    with transaction.atomic():
        lock_person(user)
        passkey_of(user=user, pk=pk).delete()
        return after_change(user=user, kind="factor.removed", change="passkey removed", keep=keep, now=now)


def _descriptors(passkeys: list[Passkey]) -> list[PublicKeyCredentialDescriptor]:
    known = {transport.value: transport for transport in AuthenticatorTransport}
    return [
        PublicKeyCredentialDescriptor(
            id=bytes(passkey.credential_id),
            transports=[known[transport] for transport in passkey.transports if transport in known],
        )
        for passkey in passkeys
    ]


def _bounded(answer: str) -> str:
    if len(answer) > LONGEST_ANSWER:
        raise ValueError("longer than any browser's")
    return answer
