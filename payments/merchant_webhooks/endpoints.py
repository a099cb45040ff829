"""
Where a merchant wants to be told: added, changed, rotated, switched off and on, removed.

Only the owner of a MERCHANT wallet has any; for everybody else there is nothing here. Where the money's news go and who
can sign as us is what somebody with a stolen session would change, so adding and rotating ask for the password and the
second factor once more.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from accounts import audit, second_factor
from accounts.factor_changes import FRESH
from accounts.models import User
from accounts.own_password import check_own_password
from payments.merchant_webhooks.event_types import TYPES
from payments.merchant_webhooks.signing import new_secret, sealed
from payments.models import WebhookEndpoint
from wallet_project.kernel.card_numbers import refuse_card_number
from wallet_project.kernel.database import require_transaction
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import parse_public_id
from wallet_project.kernel.public_addresses import NotPublic, judge_url, require_public
from wallets.models import Wallet

log = structlog.get_logger("payments.merchant_webhooks")

PREVIOUS_LIVES: Final = timedelta(hours=24)

State = WebhookEndpoint.State


@dataclass(frozen=True, slots=True)
class WithSecret:
    """
    :ivar secret: to be shown this once.
    """

    endpoint: WebhookEndpoint
    secret: str


def merchant_wallet_of(*, user: User) -> Wallet:
    """
    :raises Refusal: `not_found`: they are no merchant, or no more.
    """
    theirs = Wallet.objects.filter(owner=user, kind=Wallet.Kind.MERCHANT).exclude(status=Wallet.Status.CLOSED)
    wallet = theirs.select_related("merchant").order_by("pk").first()
    if wallet is None:
        raise Refusal("not_found", "Only merchants have webhooks.")
    return wallet


def endpoints_of(*, user: User) -> list[WebhookEndpoint]:
    """
    Oldest first; no more than `MOST_WEBHOOK_ENDPOINTS`.

    :raises Refusal: `not_found`.
    """
    wallet = merchant_wallet_of(user=user)
    return list(_kept(wallet).order_by("pk"))


def find_endpoint(*, user: User, endpoint: str) -> WebhookEndpoint:
    """
    :param endpoint: its public id.
    :raises Refusal: `not_found`, for unknown ids, other people's and removed ones alike.
    """
    uuid = parse_public_id(WebhookEndpoint.PREFIX, endpoint)
    kept = _kept(merchant_wallet_of(user=user))
    found = None if uuid is None else kept.select_related("wallet__merchant").filter(uuid=uuid).first()
    if found is None:
        raise Refusal("not_found", "There is no such endpoint.")
    return found


def add_endpoint(
    *,
    user: User,
    url: str,
    types: Sequence[str],
    password: str,
    code: str,
    now: datetime,
    shown_at: datetime | None = None,
) -> WithSecret:
    """
    Be told at this address from now on.

    :param types: of `event_types.TYPES`; none means all.
    :param password, code, shown_at: see `_require_themselves`.
    :raises Refusal: `not_found`; `invalid`: of the address or a type; `limit_exceeded`; `credentials_invalid`,
        `otp_required`, `otp_invalid`, `too_many_tries`.
    """
    wallet, chosen = merchant_wallet_of(user=user), _read_types(types)
    # First by its text: nobody is asked about a host for whoever does not know the password.
    url = _read_url(url)
    _require_themselves(user, password, code, "webhook_endpoint.added", now, shown_at)
    _require_reachable(url)
    secret = new_secret()
    with transaction.atomic():
        _lock_wallet(wallet)
        most = settings.MOST_WEBHOOK_ENDPOINTS
        if _kept(wallet).count() >= most:
            raise Refusal("limit_exceeded", f"You can keep {most} addresses. Remove one first.")
        if _kept(wallet).filter(url=url).exists():
            raise Refusal.of_field("url", "You have this address already.", "taken")
        endpoint = WebhookEndpoint.objects.create(
            wallet=wallet,
            url=url,
            types=chosen,
            secret_sealed=sealed(secret),
            state_changed_at=now,
            created_at=now,
        )
        _note("added", user, endpoint, now)
    return WithSecret(endpoint, secret)


def rotate_secret(
    *,
    user: User,
    endpoint: str,
    password: str,
    code: str,
    now: datetime,
    shown_at: datetime | None = None,
) -> WithSecret:
    """
    A new secret. For a day both sign, so that a receiver can change over without missing anything; the one before
    those two signs no more.

    :raises Refusal: as `add_endpoint`.
    """
    found = find_endpoint(user=user, endpoint=endpoint)
    _require_themselves(user, password, code, "webhook_endpoint.rotated", now, shown_at)
    secret = new_secret()
    with transaction.atomic():
        locked = _locked(found)
        locked.previous_sealed, locked.previous_until = locked.secret_sealed, now + PREVIOUS_LIVES
        locked.secret_sealed = sealed(secret)
        locked.save(update_fields=["secret_sealed", "previous_sealed", "previous_until"])
        _note("rotated", user, locked, now)
    return WithSecret(locked, secret)


def choose_types(*, user: User, endpoint: str, types: Sequence[str], now: datetime) -> WebhookEndpoint:
    """
    Holds for what happens from now on.

    :raises Refusal: `not_found`, `invalid`.
    """
    found, chosen = find_endpoint(user=user, endpoint=endpoint), _read_types(types)
    with transaction.atomic():
        locked = _locked(found)
        locked.types = chosen
        locked.save(update_fields=["types"])
        _note("changed", user, locked, now)
    return locked


def switch(*, user: User, endpoint: str, on: bool, now: datetime) -> WebhookEndpoint:
    """
    Twice is as good as once. Switched off it is told nothing of what happens meanwhile; what waited already goes on
    waiting, and is sent when it is switched on again.

    :raises Refusal: `not_found`; `invalid`: its address is none on the public internet any more.
    """
    found = find_endpoint(user=user, endpoint=endpoint)
    if on:
        _require_reachable(found.url)
    with transaction.atomic():
        locked = _locked(found)
        if (locked.state == State.ACTIVE) == on:
            return locked
        if on:
            locked.state, locked.reason, locked.state_changed_at = State.ACTIVE, WebhookEndpoint.Reason.NONE, now
            locked.failing_since, locked.silences, locked.paused_until = None, 0, None
            locked.save()
        else:
            disable(endpoint=locked, reason=WebhookEndpoint.Reason.OWNER, now=now)
        _note("switched_on" if on else "switched_off", user, locked, now)
    return locked


def remove_endpoint(*, user: User, endpoint: str, now: datetime) -> None:
    """
    Its address and its secrets are gone at once and nothing is sent any more; its messages and their log go with the
    next purge.

    :raises Refusal: `not_found`.
    """
    found = find_endpoint(user=user, endpoint=endpoint)
    with transaction.atomic():
        locked = _locked(found)
        _remove([locked], now)
        _note("removed", user, locked, now)


def remove_endpoints(*, wallets: Iterable[Wallet], now: datetime) -> None:
    """Of wallets that are closed, within the transaction that closes them."""
    require_transaction("default")
    theirs = WebhookEndpoint.objects.filter(wallet__in=wallets).exclude(state=State.REMOVED)
    _remove(list(theirs.select_for_update(no_key=True).order_by("pk")), now)


def disable(*, endpoint: WebhookEndpoint, reason: WebhookEndpoint.Reason, now: datetime) -> None:
    """Of a row that the caller has locked."""
    require_transaction("default")
    endpoint.state, endpoint.reason, endpoint.state_changed_at = State.DISABLED, reason, now
    endpoint.save(update_fields=["state", "reason", "state_changed_at"])


def _kept(wallet: Wallet) -> QuerySet[WebhookEndpoint]:
    return WebhookEndpoint.objects.filter(wallet=wallet).exclude(state=State.REMOVED)


def _locked(endpoint: WebhookEndpoint) -> WebhookEndpoint:
    """
    :raises Refusal: `not_found`: it was removed this moment.
    """
    locked = WebhookEndpoint.objects.select_for_update(no_key=True, of=("self",)).get(pk=endpoint.pk)
    if locked.state == State.REMOVED:
        raise Refusal("not_found", "There is no such endpoint.")
    return locked


def _lock_wallet(wallet: Wallet) -> None:
    """One at a time for each merchant, so that the most is the most; against its closing, too."""
    locked = list(Wallet.objects.filter(pk=wallet.pk).select_for_update(no_key=True).values_list("status", flat=True))
    if locked != [Wallet.Status.ACTIVE] and locked != [Wallet.Status.FROZEN]:
        raise Refusal("not_found", "Only merchants have webhooks.")


def _remove(endpoints: Sequence[WebhookEndpoint], now: datetime) -> None:
    WebhookEndpoint.objects.filter(pk__in=[each.pk for each in endpoints]).update(
        state=State.REMOVED,
        reason=WebhookEndpoint.Reason.NONE,
        state_changed_at=now,
        url="",
        secret_sealed=b"",
        previous_sealed=b"",
        previous_until=None,
    )


def _require_themselves(
    user: User, password: str, code: str, kind: str, now: datetime, shown_at: datetime | None
) -> None:
    """
    The password, and the second factor of whoever has one; outside of any transaction, so that no try is given back.

    :param shown_at: when a factor was last shown in the session that asks; a moment ago stands for the code.
    """
    try:
        check_own_password(user=user, password=password, now=now)
        is_fresh = shown_at is not None and now - shown_at <= FRESH
        if second_factor.is_on(user) and (code or not is_fresh):
            if not code:
                raise Refusal("otp_required")
            second_factor.check(user=user, code=code, now=now)
    except Refusal as refusal:
        audit.record(kind, now=now, actor=user, subject=user, refused=refusal.code)
        raise


def _read_types(types: Sequence[str]) -> list[str]:
    """In the order of the list, each once."""
    unknown = [each for each in types if each not in TYPES]
    if unknown:
        raise Refusal.of_field("types", f"There is no such type of event. Choose among {', '.join(TYPES)}.")
    return [each for each in TYPES if each in types or not types]


def _read_url(url: str) -> str:
    refuse_card_number(field="url", text=url)
    try:
        return judge_url(url, loopback=settings.WEBHOOK_LOOPBACK).url
    except NotPublic as error:
        raise Refusal.of_field("url", str(error), error.code) from error


def _require_reachable(url: str) -> None:
    try:
        require_public(url, loopback=settings.WEBHOOK_LOOPBACK)
    except NotPublic as error:
        raise Refusal.of_field("url", str(error), error.code) from error


def _note(what: str, user: User, endpoint: WebhookEndpoint, now: datetime) -> None:
    audit.record(f"webhook_endpoint.{what}", now=now, actor=user, subject=user, object=endpoint.public_id)
    log.info(f"webhook_endpoint.{what}", endpoint=endpoint.public_id)
