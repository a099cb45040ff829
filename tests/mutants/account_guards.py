"""The guards of whoever somebody is and what they may, as `guards` has those of the money."""

from typing import Final

from tests.mutants.guards import Edit, Mutant

SIGN_IN: Final = "tests/accounts/test_sign_in.py"
SIGN_IN_LIMITS: Final = "tests/accounts/test_sign_in_limits.py"
SESSIONS: Final = "tests/accounts/test_sessions.py"
TOTP: Final = "tests/accounts/test_totp.py"
AUDIT: Final = "tests/accounts/test_audit.py"
PROPOSALS: Final = "tests/payments/test_proposals.py"
NOTIFICATIONS: Final = "tests/accounts/test_notifications.py"
NOTIFICATION_PAGES: Final = "tests/accounts/test_notification_pages.py"
TELLING: Final = "tests/payments/test_telling.py"
BODIES: Final = "tests/journeys/test_access_bodies.py"

MUTANTS: Final = (
    Mutant(
        "a browser that somebody else uses keeps nothing of who used it before",
        (Edit("accounts/push.py", "    before.delete()\n", ""),),
        ("tests/accounts/test_push.py::test_a_browser_that_somebody_else_uses_tells_them_and_not_the_one_before",),
    ),
    Mutant(
        "a new password ends what browsers of long ago hear",
        (Edit("accounts/password_change.py", "    PushSubscription.objects.filter(user=user).delete()\n", ""),),
        ("tests/accounts/test_push.py::test_no_browser_of_long_ago_outlives_what_ends_every_sign_in",),
    ),
    Mutant(
        "that an authenticator's code works once",
        (
            Edit(
                "accounts/models/factors.py",
                "TotpDevice.objects.filter(pk=self.pk, last_step__lt=step)",
                "TotpDevice.objects.filter(pk=self.pk)",
            ),
        ),
        (f"{TOTP}::test_twenty_uses_of_one_code_at_once_succeed_once_and_lock_nobody_out",),
    ),
    Mutant(
        "that a recovery code works once",
        (
            Edit(
                "accounts/models/factors.py",
                "self.codes.filter(digest=digest, used_at=None).update",
                "self.codes.filter(digest=digest).update",
            ),
        ),
        (f"{TOTP}::test_twenty_uses_of_one_recovery_code_at_once_succeed_once_and_the_others_stay_good",),
    ),
    Mutant(
        "that nobody's rollback gives a second factor's tries back",
        (
            Edit(
                "accounts/second_factor.py",
                "    with transaction.atomic(durable=True):\n        judgement = judge(user=user, devices=devices_for",
                "    with transaction.atomic():\n        judgement = judge(user=user, devices=devices_for",
            ),
        ),
        (f"{TOTP}::test_no_rolled_back_transaction_around_it_gives_tries_back",),
    ),
    Mutant(
        "that a refresh token works once",
        (
            Edit(
                "accounts/sign_in.py",
                "filter(pk=session.pk, refresh_id=claims.id, revoked_at=None)",
                "filter(pk=session.pk, revoked_at=None)",
            ),
        ),
        (f"{SIGN_IN}::test_a_refresh_token_used_twice_ends_the_session_and_its_access_tokens",),
    ),
    Mutant(
        "a token's type",
        (Edit("accounts/tokens.py", "if claims.type != type or claims.expires_at", "if claims.expires_at"),),
        (f"{SIGN_IN}::test_a_refresh_token_is_no_access_token",),
    ),
    Mutant(
        "a token's version",
        (
            Edit(
                "accounts/authentication.py",
                "            or user.token_version != validated_token.token_version\n",
                "",
            ),
        ),
        (f"{SIGN_IN}::test_a_newer_token_version_kills_older_tokens",),
    ),
    Mutant(
        "the count of wrong sign-ins",
        (Edit("accounts/sign_in_limits.py", "    if longest <= 0:\n", "    if longest is not None:\n"),),
        (f"{SIGN_IN_LIMITS}::test_guesses_at_once_get_exactly_ten_answers",),
    ),
    Mutant(
        "the look at that count after a right password",
        (
            Edit(
                "accounts/sign_in_limits.py",
                "        raise\n    _refuse_if_locked(counts, _look(counts, now))\n",
                "        raise\n",
            ),
        ),
        (f"{SIGN_IN_LIMITS}::test_a_right_password_that_is_judged_while_others_pass_the_limit_is_not_told",),
    ),
    Mutant(
        "the new id of a page's session",
        (
            Edit(
                "accounts/page_sessions.py",
                "    login(request, user)\n",
                "    request.session.cycle_key = lambda: None\n    login(request, user)\n",
            ),
        ),
        (
            f"{SESSIONS}::test_signing_in_at_the_page_changes_the_session_id_and_signing_out_ends_it",
            f"{SESSIONS}::test_an_id_that_was_planted_before_the_sign_in_opens_nothing_after_it",
        ),
    ),
    Mutant(
        "whose a bank account is",
        (
            Edit(
                "payments/bank_accounts.py",
                "found = BankAccount.objects.filter(owner=owner, uuid=uuid, removed_at=None)",
                "found = BankAccount.objects.filter(uuid=uuid, removed_at=None)",
            ),
        ),
        (f"{BODIES}::test_money_does_not_go_to_a_bank_account_that_is_not_ones_own",),
    ),
    Mutant(
        "the four eyes",
        (
            Edit(
                "payments/proposals.py",
                "return by.has_perm(PERMISSION) and by.pk != proposal.proposed_by_id",
                "return by.has_perm(PERMISSION)",
            ),
        ),
        (f"{PROPOSALS}::test_nobody_decides_what_they_proposed_not_even_a_superuser_or_the_application",),
    ),
    Mutant(
        "that the security log only grows",
        (
            Edit(
                "accounts/migrations/0004_security_rights.py",
                '        append_only("accounts_securityevent", "the security audit log only grows"),\n',
                "",
            ),
        ),
        (f"{AUDIT}::test_what_only_grows_is_changed_by_no_role",),
    ),
    Mutant(
        "that an event is told once",
        (Edit("accounts/notifications.py", "event_id=new.event_id", "event_id=None"),),
        (f"{NOTIFICATIONS}::test_an_event_is_told_once_however_often_it_is_heard",),
    ),
    Mutant(
        "that nobody switches off what is for their safety",
        (
            Edit(
                "accounts/notification_preferences.py",
                "    if row.is_locked:\n        return True\n    return",
                "    return",
            ),
        ),
        (f"{NOTIFICATIONS}::test_what_is_about_safety_cannot_be_switched_off_not_even_in_the_table",),
    ),
    Mutant(
        "that a page left open is nobody who uses it",
        (Edit("accounts/page_sessions.py", 'getattr(match.func, "looks_by_itself", False)', "False"),),
        (f"{NOTIFICATION_PAGES}::test_a_page_left_open_is_no_sign_that_somebody_is_there",),
    ),
    Mutant(
        "that money back with its failure is told once",
        (
            Edit(
                "payments/telling.py",
                '"withdrawal_failed" if reversed_.status == Status.SUCCESS else ""',
                '"withdrawal_failed"',
            ),
        ),
        (f"{TELLING}::test_a_withdrawal_that_fails_is_told_once_with_the_money_that_comes_back",),
    ),
)
