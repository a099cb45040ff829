"""An address is added, changed or removed by whoever shows both sides; a password, a page or a mailbox alone do not."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from accounts import address_changes
from accounts.address_changes import LIFETIME, MOST_FAILURES, STARTS, WRONG_CODES, is_recent
from accounts.addresses import any_address
from accounts.models import AddressChange, OutgoingMessage, SecurityEvent, User
from accounts.queries import owner_of
from tests.accounts.changing import ask, change_to, confirm, remove, undo_tokens
from tests.accounts.factors import code_of, enrolled, no_code_of
from tests.accounts.people import (
    PASSWORD,
    call,
    code_sent_to,
    deliver,
    messages_to,
    new_email,
    new_phone,
    person,
    register_by_api,
    tokens_of,
    verify_with,
    wrong,
)
from tests.accounts.test_races import at_once
from tests.payments.cast import access_of
from wallet_project.kernel.errors import Refusal

pytestmark = pytest.mark.usefixtures("database")


def code(answer: Any) -> str:
    return str(answer.json()["code"])


def test_an_email_is_changed_with_a_code_to_each_side_and_everything_else_is_signed_out() -> None:
    asha, email = person(), new_email()
    here, elsewhere = access_of(asha), access_of(asha)
    answer = ask(here, email)
    assert answer.status_code == 202
    assert set(answer.json()) == {"id", "channel", "own_channel", "expires_at"}
    assert (answer.json()["channel"], answer.json()["own_channel"]) == ("email", "email")
    own_code, new_code = code_sent_to(str(asha.email)), code_sent_to(email)
    assert "e-mail changed" in messages_to(str(asha.email))[0].text
    done = confirm(here, answer.json()["id"], new_code, own_code)
    assert (done.status_code, done.json()["email"], done.json()["id"]) == (200, email, asha.public_id)
    assert call("GET", "/me", access=here).json() == done.json()
    assert call("GET", "/me", access=elsewhere).json()["code"] == "token_invalid"
    assert (owner_of(any_address(email)), owner_of(any_address(str(asha.email)))) == (asha, None)
    event = SecurityEvent.objects.get(kind="address.changed", subject=asha, result="DONE")
    assert (event.actor, event.object, event.details) == (asha, answer.json()["id"], {"change": "changed"})
    assert email not in str(vars(event))
    assert is_recent(asha, timezone.now())


def test_the_address_of_before_is_told_with_a_way_back_and_the_new_one_is_not() -> None:
    asha, email = person(), new_email()
    change_to(asha, access_of(asha), email)
    assert len(undo_tokens(str(asha.email))) == 1
    told = messages_to(str(asha.email))[0]
    assert (told.subject, "e-mail changed" in told.text) == ("An address of your wallet was changed", True)
    assert undo_tokens(email) == []


def test_a_phone_is_added_beside_the_email_and_either_can_then_be_removed_but_not_the_last() -> None:
    asha, phone = person(), new_phone()
    access = access_of(asha)
    assert code(remove(access, "email")) == "last_address"
    assert code(remove(access, "phone")) == "not_found"
    change_to(asha, access, phone)
    removal = remove(access, "email")
    # The code goes to the address that stays.
    assert (removal.status_code, removal.json()["own_channel"]) == (202, "phone")
    done = confirm(access, removal.json()["id"], own_code=code_sent_to(phone))
    assert (done.json()["email"], done.json()["phone"]) == (None, phone)
    assert code(remove(access, "phone")) == "last_address"
    assert "An address of your wallet was removed" in [sent.subject for sent in messages_after(str(asha.email))]


def messages_after(address: str) -> list[Any]:
    deliver()
    return list(messages_to(address))


def test_of_two_removals_begun_together_the_second_finds_a_last_address() -> None:
    asha = person(email=new_email(), phone=new_phone())
    access = access_of(asha)
    of_email, of_phone = remove(access, "email").json()["id"], remove(access, "phone").json()["id"]
    by_email, by_phone = code_sent_to(str(asha.email)), code_sent_to(str(asha.phone))
    assert confirm(access, of_email, own_code=by_phone).status_code == 200
    answer = confirm(access, of_phone, own_code=by_email)
    assert (answer.status_code, code(answer)) == (422, "last_address")
    assert User.objects.get(pk=asha.pk).phone == asha.phone


def test_with_a_second_factor_its_code_stands_for_the_address_of_ones_own() -> None:
    asha, email, phone = person(), new_email(), new_phone()
    secret, recovery = enrolled(asha)
    access = access_of(asha)
    for otp, refused in (("", "otp_required"), (no_code_of(secret), "otp_invalid")):
        assert code(ask(access, email, otp=otp)) == refused
    assert not AddressChange.objects.filter(user=asha).exists()
    begun = ask(access, email, otp=code_of(secret))
    assert begun.json()["own_channel"] is None
    assert confirm(access, begun.json()["id"], code_sent_to(email)).status_code == 200
    # A recovery code will do as well; with it a removal is done at once.
    begun = ask(access, phone, otp=recovery[0])
    assert confirm(access, begun.json()["id"], code_sent_to(phone)).status_code == 200
    assert remove(access, "phone", otp=code_of(secret, steps=1)).status_code == 204
    now = User.objects.get(pk=asha.pk)
    assert (now.email, now.phone) == (email, None)


def test_the_password_alone_changes_nothing() -> None:
    """Zoya knows Asha's password, and her own mailbox."""
    asha, zoyas = person(), new_email("zoya")
    access = access_of(asha)
    change = ask(access, zoyas).json()["id"]
    deliver()
    new_code = code_sent_to(zoyas)
    for own_code in ("", new_code, wrong(new_code)):
        answer = confirm(access, change, new_code, own_code)
        assert (answer.status_code, code(answer)) == (400, "code_invalid")
    assert User.objects.get(pk=asha.pk).email == asha.email
    assert SecurityEvent.objects.filter(kind="address.changed", subject=asha, result="REFUSED").count() == 3


def test_an_open_page_or_a_stolen_token_alone_begins_nothing() -> None:
    asha = person(email=new_email(), phone=new_phone())
    access = access_of(asha)
    for answer in (ask(access, new_email("zoya"), password="a-guess-of-hers"), remove(access, "email", password="x")):
        assert (answer.status_code, code(answer)) == (401, "credentials_invalid")
    assert not AddressChange.objects.filter(user=asha).exists()


def test_the_own_code_alone_takes_nobodys_address() -> None:
    """Asha types an address that is not hers: without its code it never becomes hers."""
    asha = person()
    access, ravis = access_of(asha), new_email("ravi")
    change = ask(access, ravis).json()["id"]
    own_code = code_sent_to(str(asha.email))
    for guess in ("", own_code, wrong(code_sent_to(ravis))):
        assert code(confirm(access, change, guess, own_code)) == "code_invalid"
    assert owner_of(any_address(ravis)) is None


def test_five_wrong_codes_are_the_end_of_a_change_and_ten_of_all_for_a_while() -> None:
    asha, email = person(), new_email()
    access = access_of(asha)
    change = ask(access, email).json()["id"]
    own_code, new_code = code_sent_to(str(asha.email)), code_sent_to(email)
    for _ in range(MOST_FAILURES):
        assert code(confirm(access, change, new_code, wrong(own_code))) == "code_invalid"
    assert code(confirm(access, change, new_code, own_code)) == "code_invalid"
    # A new change brings new tries, but not for ever.
    change = ask(access, email).json()["id"]
    own_code, new_code = code_sent_to(str(asha.email)), code_sent_to(email)
    for _ in range(WRONG_CODES.most - MOST_FAILURES - 1):
        assert code(confirm(access, change, new_code, wrong(own_code))) == "code_invalid"
    answer = confirm(access, change, new_code, own_code)
    assert (answer.status_code, code(answer)) == (429, "too_many_tries")
    assert int(answer["Retry-After"]) > 0


def test_tries_are_not_given_back_by_a_rollback() -> None:
    asha = person()
    begun = address_changes.begin(user=asha, address=any_address(new_email()), password=PASSWORD, now=timezone.now())
    given: dict[str, Any] = {"user": asha, "change": begun.change.public_id, "code": "000000", "own_code": "000000"}
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        address_changes.confirm(**given, keep=begun.change.uuid, now=timezone.now())


def test_codes_die_after_ten_minutes_and_with_a_later_request() -> None:
    asha, email = person(), new_email()
    access = access_of(asha)
    first = ask(access, email).json()["id"]
    own_code, new_code = code_sent_to(str(asha.email)), code_sent_to(email)
    later: dict[str, Any] = {"user": asha, "keep": asha.uuid, "now": timezone.now() + LIFETIME + timedelta(seconds=1)}
    with pytest.raises(Refusal, match="code_invalid"):
        address_changes.confirm(change=first, code=new_code, own_code=own_code, **later)
    second = ask(access, email).json()["id"]
    for change in (first, second):
        assert code(confirm(access, change, new_code, own_code)) == "code_invalid"


def test_one_change_confirmed_six_times_at_once_is_made_once() -> None:
    asha, email = person(), new_email()
    access = access_of(asha)
    change = ask(access, email).json()["id"]
    own_code, new_code = code_sent_to(str(asha.email)), code_sent_to(email)
    answers, _ = at_once(*[lambda: confirm(access, change, new_code, own_code).status_code] * 6)
    assert sorted(answers) == [200] + [400] * 5
    assert SecurityEvent.objects.filter(kind="address.changed", subject=asha, result="DONE").count() == 1
    assert len(undo_tokens(str(asha.email))) == 1


def test_of_three_who_prove_one_address_at_once_one_has_it() -> None:
    """Asha and Ravi want it for their accounts, and somebody registers with it."""
    email, wanting = new_email(), [person(), person("Ravi")]
    begun = []
    for user in wanting:
        change = ask(access := access_of(user), email).json()["id"]
        begun.append((access, change, code_sent_to(email), code_sent_to(str(user.email))))
    register_by_api(email=email, full_name="Meera")
    registered = code_sent_to(email)
    answers, _ = at_once(
        *[lambda given=given: confirm(*given).status_code for given in begun],  # type: ignore[misc]
        lambda: call("POST", "/auth/verify", {"email": email, "code": registered}).status_code,
    )
    assert sorted(answers) == [200, 400, 400]
    assert User.objects.filter(email=email).count() == 1


def test_an_address_of_somebody_elses_is_answered_like_any_other_and_its_owner_is_told() -> None:
    asha, ravi = person(), person("Ravi", email=new_email("ravi"))
    access, answers = access_of(asha), {}
    for email in (str(ravi.email), new_email("nobody")):
        begun = ask(access, email)
        own_code = code_sent_to(str(asha.email))
        refused = confirm(access, begun.json()["id"], "123456", own_code)
        answers[email] = (
            begun.status_code,
            sorted(begun.json()),
            {**begun.json(), "id": "", "expires_at": ""},
            refused.status_code,
            {**refused.json(), "request_id": ""},
        )
    assert len({str(answer) for answer in answers.values()}) == 1
    (told,) = messages_to(str(ravi.email))
    assert told.subject == "Somebody tried to register with your address"
    assert asha.full_name not in told.text


def test_how_often_somebody_asked_is_counted_alike_whoever_has_the_address() -> None:
    ravi = person("Ravi", email=new_email("ravi"))
    for email in (str(ravi.email), new_email("nobody")):
        access = access_of(person())
        met = [ask(access, email).status_code for _ in range(STARTS.most + 1)]
        assert met == [202] * STARTS.most + [429]


def test_strangers_keep_no_code_from_whoever_changes_an_address() -> None:
    asha, email = person(), new_email()
    for _ in range(25):
        register_by_api(email=asha.email, full_name="Zoya")
    change_to(asha, access_of(asha), email)


def test_whoever_registered_the_address_without_its_code_loses_the_claim() -> None:
    """Zoya registers Asha's second address before her."""
    asha, email = person(), new_email()
    register_by_api(email=email, full_name="Zoya")
    zoyas = code_sent_to(email)
    change_to(asha, access_of(asha), email)
    with pytest.raises(Refusal, match="code_invalid"):
        verify_with(email, zoyas)
    assert list(User.objects.filter(email=email)) == [asha]


def test_no_other_code_proves_an_address_and_an_addresss_code_proves_nothing_else() -> None:
    asha, email = person(), new_email()
    access = access_of(asha)
    change = ask(access, email).json()["id"]
    own_code, new_code = code_sent_to(str(asha.email)), code_sent_to(email)
    call("POST", "/auth/password/reset", {"email": asha.email})
    of_reset = code_sent_to(str(asha.email))
    assert code(confirm(access, change, new_code, of_reset)) == "code_invalid"
    body = {"email": asha.email, "code": own_code, "new_password": "seven-brown-otters"}
    assert code(call("POST", "/auth/password/reset/confirm", body)) == "code_invalid"
    assert code(call("POST", "/auth/verify", {"email": email, "code": new_code})) == "code_invalid"


def test_nobody_confirms_anothers_change_and_unknown_ids_are_not_there() -> None:
    asha, zoya, email = person(), person("Zoya"), new_email()
    change = ask(access_of(asha), email).json()["id"]
    own_code, new_code = code_sent_to(str(asha.email)), code_sent_to(email)
    for id in (change, "adc_00000000000000000000000000", "nonsense", "\x00"):
        assert confirm(access_of(zoya), id, new_code, own_code).status_code in (400, 404)
    assert code(confirm(access_of(zoya), change, new_code, own_code)) == "not_found"
    assert owner_of(any_address(email)) is None


def test_a_change_begun_before_a_new_password_is_over() -> None:
    asha, email, now = person(), new_email(), timezone.now()
    access = access_of(asha)
    before = User.objects.get(pk=asha.pk)
    change = ask(access, email).json()["id"]
    own_code, new_code = code_sent_to(str(asha.email)), code_sent_to(email)
    User.objects.filter(pk=asha.pk).update(token_version=7)
    with pytest.raises(Refusal, match="code_invalid"):
        address_changes.confirm(user=before, change=change, code=new_code, own_code=own_code, keep=asha.uuid, now=now)


def test_what_is_ones_own_already_or_no_address_is_said() -> None:
    asha = person()
    access = access_of(asha)
    for body in ({"email": asha.email}, {}, {"email": "asha"}, {"email": new_email(), "phone": new_phone()}):
        answer = call("POST", "/me/addresses", {**body, "password": PASSWORD}, access=access)
        assert (answer.status_code, code(answer)) == (400, "invalid")
    assert not OutgoingMessage.objects.filter(user=asha).exists()


def test_people_sign_in_with_the_new_address_and_no_more_with_the_old_one() -> None:
    asha, email = person(), new_email()
    change_to(asha, access_of(asha), email)
    body = {"email": asha.email, "password": PASSWORD}
    assert code(call("POST", "/auth/token", body)) == "credentials_invalid"
    asha.refresh_from_db()
    assert tokens_of(asha)
