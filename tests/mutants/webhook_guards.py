"""Guards of merchants' webhooks: who is asked, what is told once, and who may have it told."""

from typing import Final

from tests.mutants.guards import Edit, Mutant

_ADDRESSES: Final = "wallet_project/kernel/public_addresses.py"
_HTTP: Final = "wallet_project/kernel/public_http.py"
_ROOM: Final = "payments/merchant_webhooks"
_PUBLIC: Final = "tests/house/test_public_addresses.py"
_TOLD: Final = "tests/payments/test_merchant_webhooks.py"
_SENDING: Final = "tests/payments/test_merchant_webhooks_sending.py"
_DOORS: Final = "tests/payments/test_merchant_webhooks_doors.py"

MUTANTS: Final = (
    Mutant(
        "webhooks: that every address of a host is public",
        (Edit(_ADDRESSES, "all(is_public(address) for", "any(is_public(address) for"),),
        (f"{_PUBLIC}::test_an_address_that_is_not_global_unicast_is_none",),
    ),
    Mutant(
        "webhooks: that only https and named hosts are asked",
        (Edit(_ADDRESSES, 'if parts.scheme != "https":', 'if parts.scheme not in ("http", "https"):'),),
        (f"{_PUBLIC}::test_anything_else_is_none_by_its_text",),
    ),
    Mutant(
        "webhooks: that the address which was judged is the one connected to",
        (Edit(_HTTP, "create_connection((address, self.port)", "create_connection((self.host, self.port)"),),
        (f"{_PUBLIC}::test_the_name_and_not_the_address_is_what_tls_asks_for_and_proves",),
    ),
    Mutant(
        "webhooks: that no redirect is followed",
        (
            Edit(_HTTP, '"allow_redirects": False', '"allow_redirects": True'),
            Edit(
                _HTTP,
                "        return None\n\n\ndef post",
                "        return super().get_redirect_target(resp)\n\n\ndef post",
            ),
        ),
        (f"{_PUBLIC}::test_what_somebody_sends_us_on_to_is_not_asked",),
    ),
    Mutant(
        "webhooks: that nothing of the environment is used",
        (Edit(_HTTP, "self.trust_env = False", "self.trust_env = True"),),
        (f"{_PUBLIC}::test_a_proxy_or_a_login_of_the_environment_is_not_used",),
    ),
    Mutant(
        "webhooks: that whoever trickles headers is cut off",
        (Edit(_HTTP, "        self._fuse.start()\n", ""),),
        (f"{_PUBLIC}::test_whoever_trickles_or_says_nothing_keeps_us_only_so_long",),
    ),
    Mutant(
        "webhooks: that what is too long is not read to its end",
        (
            Edit(
                _HTTP,
                "while len(text) <= MOST_READ and (piece := answer.raw.read1(MOST_READ + 1 - len(text))):",
                "while piece := answer.raw.read1(MOST_READ):",
            ),
        ),
        (f"{_PUBLIC}::test_a_long_answer_is_not_read_to_its_end",),
    ),
    Mutant(
        "webhooks: that an event is one message for an endpoint",
        (
            Edit(
                "payments/migrations/0016_merchant_webhooks.py",
                'fields=("endpoint", "event_id")',
                'fields=("endpoint", "event_id", "uuid")',
            ),
        ),
        (f"{_TOLD}::test_each_endpoint_is_told_what_it_chose_once_however_often_the_event_comes",),
    ),
    Mutant(
        "webhooks: that a message is claimed by one worker",
        (
            Edit(
                f"{_ROOM}/sending.py",
                "due = waiting.filter(Q(claimed_until=None) | Q(claimed_until__lte=now), ",
                "due = waiting.filter(",
            ),
        ),
        (f"{_SENDING}::test_any_number_of_workers_send_each_message_once",),
    ),
    Mutant(
        "webhooks: that an endpoint keeps only a few workers busy",
        (
            Edit(f"{_ROOM}/sending.py", "MOST_AT_ONCE: Final = 4", "MOST_AT_ONCE: Final = 4\n_NO_END: Final = 10**6"),
            Edit(f"{_ROOM}/sending.py", ".count() >= MOST_AT_ONCE:", ".count() >= _NO_END:"),
        ),
        (f"{_SENDING}::test_one_endpoint_never_keeps_more_than_a_few_workers_busy",),
    ),
    Mutant(
        "webhooks: that claims of an endpoint are counted one at a time",
        (
            Edit(
                f"{_ROOM}/sending.py",
                "_speakable(now).select_for_update(no_key=True).filter(pk=endpoint_id)",
                "_speakable(now).filter(pk=endpoint_id)",
            ),
        ),
        (f"{_SENDING}::test_one_endpoint_never_keeps_more_than_a_few_workers_busy",),
    ),
    Mutant(
        "webhooks: that the secret before a rotation signs for a day",
        (Edit(f"{_ROOM}/signing.py", "now < endpoint.previous_until", "now < endpoint.created_at"),),
        (f"{_TOLD}::test_for_a_day_after_a_rotation_both_secrets_verify_and_then_the_new_one_alone",),
    ),
    Mutant(
        "webhooks: that it signs no longer than that",
        (Edit(f"{_ROOM}/signing.py", " and now < endpoint.previous_until", ""),),
        (f"{_TOLD}::test_for_a_day_after_a_rotation_both_secrets_verify_and_then_the_new_one_alone",),
    ),
    Mutant(
        "webhooks: that to add and to rotate ask for the password",
        (Edit(f"{_ROOM}/endpoints.py", "        check_own_password(user=user, password=password, now=now)\n", ""),),
        (f"{_DOORS}::test_adding_and_rotating_ask_for_password_and_factor_and_are_on_record",),
    ),
    Mutant(
        "webhooks: that an endpoint is its owner's alone",
        (
            Edit(
                f"{_ROOM}/endpoints.py",
                "    kept = _kept(merchant_wallet_of(user=user))\n",
                "    kept = WebhookEndpoint.objects.all()\n",
            ),
        ),
        (f"{_DOORS}::test_for_people_without_a_shop_there_is_nothing_here",),
    ),
    Mutant(
        "webhooks: that closing an account takes its endpoints along",
        (Edit("payments/closing.py", "    remove_endpoints(wallets=wallets, now=now)\n", ""),),
        (f"{_DOORS}::test_closing_the_account_takes_the_endpoints_along",),
    ),
)
