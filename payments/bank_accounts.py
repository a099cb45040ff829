"""
Bank accounts that people withdraw to: added, shown masked, removed.

The number is sealed as soon as it is read, and opened only to tell it to the gateway, once. No log and no error ever
holds it.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.conf import settings
from django.db import transaction

from accounts.models import User
from payments.bank_names import bank_of
from payments.gateways import DEFAULT
from payments.models import BankAccount, Payout
from wallet_project.kernel.card_numbers import refuse_card_number
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import parse_public_id
from wallet_project.kernel.newest_first import newest_first
from wallet_project.kernel.sealing import blind_index, reseal, seal, unseal

log = structlog.get_logger("payments.bank_accounts")

# As many as anybody may be let keep.
MOST_LISTED: Final = 100
NUMBER: Final = "payments.bank_account.number"
# Four letters of the bank, a zero, six letters or digits of the branch (Reserve Bank of India).
_IFSC: Final = re.compile(r"[A-Z]{4}0[A-Z0-9]{6}\Z")
# NPCI knows 9 to 18 digits; co-operative banks have shorter ones, and the gateway takes them from 5.
_NUMBER: Final = re.compile(r"[0-9]{5,18}\Z")
# As the gateway wants it, and as banks write it: Latin letters.
_HOLDER: Final = re.compile(r"(?=.*[A-Za-z]{2})[A-Za-z0-9][A-Za-z0-9 .,'&()/_-]{2,49}\Z")


@dataclass(frozen=True, slots=True)
class AccountsPage:
    accounts: list[BankAccount]
    next: str | None


def add_bank_account(*, owner: User, holder_name: str, ifsc: str, account_number: str, now: datetime) -> BankAccount:
    """
    Keep an account that this person may withdraw to. The same number at the same branch again is the one they have,
    with the holder's name as it was first given.

    :param ifsc: in any case.
    :raises Refusal: `invalid`, `limit_exceeded` (they have, or added within a day, as many as they may); `blocked`:
        the account was closed or blocked this moment.
    """
    holder_name, ifsc, account_number = _read_holder(holder_name), _read_ifsc(ifsc), _read_number(account_number)
    index = blind_index(account_number, purpose=NUMBER)
    with transaction.atomic():
        # One at a time for each person, so that the most is the most. Only the row's lock matters.
        if User.objects.select_for_update(no_key=True).get(pk=owner.pk).status != User.Status.ACTIVE:
            raise Refusal("blocked")
        kept = BankAccount.objects.filter(owner=owner, removed_at=None)
        known = kept.filter(ifsc=ifsc, number_index=index).first()
        if known is not None:
            return known
        most, a_day = settings.MOST_BANK_ACCOUNTS, settings.MOST_BANK_ACCOUNTS_A_DAY
        if kept.count() >= most:
            raise Refusal("limit_exceeded", f"You can keep {most} bank accounts. Remove one first.")
        # One that is removed makes room for another.
        if BankAccount.objects.filter(owner=owner, created_at__gt=now - timedelta(days=1)).count() >= a_day:
            raise Refusal("limit_exceeded", f"You can add {a_day} bank accounts a day. Come back tomorrow.")
        account = BankAccount.objects.create(
            owner=owner,
            holder_name=holder_name,
            ifsc=ifsc,
            number_sealed=seal(account_number, purpose=NUMBER),
            number_index=index,
            last_four=account_number[-4:],
            gateway=DEFAULT,
            created_at=now,
            check_at=now,
        )
    log.info("bank_account.added", account=account.public_id)
    return account


def bank_accounts_of(*, owner: User, limit: int = MOST_LISTED, cursor: str | None = None) -> AccountsPage:
    """
    What this person has not removed, newest first.

    :raises Refusal: `cursor_invalid`.
    """
    accounts = BankAccount.objects.filter(owner=owner)
    return AccountsPage(*newest_first(accounts.filter(removed_at=None), limit=limit, cursor=cursor, places=accounts))


def find_bank_account(*, owner: User, account: str) -> BankAccount:
    """
    :param account: its public id.
    :raises Refusal: `not_found`, for unknown ids, other people's and removed ones alike.
    """
    uuid = parse_public_id(BankAccount.PREFIX, account)
    found = None
    if uuid is not None:
        found = BankAccount.objects.filter(owner=owner, uuid=uuid, removed_at=None).first()
    if found is None:
        raise Refusal("not_found", "There is no such bank account.")
    return found


def remove_bank_account(*, owner: User, account: str, now: datetime) -> None:
    """
    It is gone for its owner at once, and its number as soon as no payout needs it any more.

    :raises Refusal: `not_found`.
    """
    found = find_bank_account(owner=owner, account=account)
    # Waits for a withdrawal that is being written to it, which locks it; one that comes later finds it removed.
    removed = BankAccount.objects.filter(pk=found.pk, removed_at=None).update(removed_at=now, check_at=now)
    if not removed:
        raise Refusal("not_found", "There is no such bank account.")
    forget_number(account=found)
    log.info("bank_account.removed", account=found.public_id)


def forget_number(*, account: BankAccount) -> bool:
    """
    Of a removed account, once every payout to it was told to a gateway that knows the account by now.

    :returns: whether it is forgotten. Nothing comes to need it again: nobody withdraws to a removed account.
    """
    forgotten = BankAccount.objects.filter(pk=account.pk, removed_at__isnull=False)
    unsent = Payout.objects.filter(bank_account=account, state__in=(Payout.State.NEW, Payout.State.UNKNOWN))
    if unsent.exists():
        forgotten = forgotten.exclude(fund_account_id="")
    return forgotten.update(number_sealed=b"", check_at=None) == 1


def number_of(*, account: BankAccount) -> str:
    """
    The number, for the gateway and for nobody else.

    :raises Unreadable: it was forgotten, or the keys are gone.
    :raises RuntimeError: somebody put another account's number here: it does not fit its digest.
    """
    number = unseal(account.number_sealed, purpose=NUMBER)
    if blind_index(number, purpose=NUMBER) != bytes(account.number_index):
        raise RuntimeError(f"The number of {account.public_id} is not the one that was kept.")
    return number


def masked_number(*, account: BankAccount) -> str:
    """Eight dots, however long it is, and the last four digits."""
    return f"{'•' * 8}{account.last_four}"


def label_of(*, account: BankAccount) -> str:
    """What a person knows it by: `HDFC Bank ••0001`."""
    return f"{bank_of(account.ifsc) or 'Bank account'} ••{account.last_four}"


def reseal_numbers() -> int:
    """
    After a new key was put first in `DATA_KEYS`: every number under it, so that the old keys may go.

    Safe to run at any time and twice; a number forgotten meanwhile stays forgotten.

    :returns: how many were sealed anew.
    :raises Unreadable: a number that no key opens.
    """
    changed, last = 0, 0
    while True:
        rows = list(BankAccount.objects.filter(pk__gt=last).exclude(number_sealed=b"").order_by("pk")[:500])
        if not rows:
            return changed
        last = rows[-1].pk
        for account in rows:
            anew = reseal(account.number_sealed, purpose=NUMBER)
            if anew is not None:
                same = BankAccount.objects.filter(pk=account.pk, number_sealed=account.number_sealed)
                changed += same.update(number_sealed=anew)


def _read_holder(text: str) -> str:
    name = re.sub(" +", " ", text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")).strip(" ")
    if not _HOLDER.match(name):
        raise Refusal.of_field(
            "holder_name", "Write the name as your bank has it: 3 to 50 Latin letters, digits and simple signs."
        )
    refuse_card_number(field="holder_name", text=name)
    return name


def _read_ifsc(text: str) -> str:
    # Upper case only of ASCII: elsewhere letters become others.
    ifsc = text.upper() if text.isascii() else text
    if not _IFSC.match(ifsc):
        raise Refusal.of_field("ifsc", "An IFSC has eleven characters, like HDFC0001234.")
    return ifsc


def _read_number(text: str) -> str:
    if not _NUMBER.match(text):
        raise Refusal.of_field("account_number", "An account number has 5 to 18 digits, and nothing else.")
    return text
