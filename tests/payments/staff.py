"""Support and auditors at the admin's pages: who they are, what they press, and what they are told."""

from typing import Any

from django.contrib.messages import get_messages
from django.db import transaction
from django.db.models import Model
from django.test import Client

from accounts.models import User
from accounts.roles import appoint
from tests.accounts.people import person


def browser_of(user: User) -> Client:
    browser = Client()
    browser.force_login(user)
    return browser


def staff(group: str, full_name: str = "Dev Singh") -> Client:
    """The browser of somebody who has this role."""
    user = person(full_name)
    with transaction.atomic():
        appoint(user=user, group=group)
    return browser_of(user)


def list_of(model: type[Model]) -> str:
    return f"/admin/{model._meta.app_label}/{model._meta.model_name}/"


def page_of(row: Model, act: str = "change") -> str:
    return f"{list_of(type(row))}{row.pk}/{act}/"


def press(browser: Client, row: Model, act: str = "ask", **fields: Any) -> str:
    """What the pressed button says."""
    answer = browser.post(page_of(row, act), fields)
    assert answer.status_code == 302, answer.content
    return said(answer)


def said(answer: Any) -> str:
    """The newest message: those of buttons pressed before wait too, until a page shows them."""
    return [str(message) for message in get_messages(answer.wsgi_request)][-1]


def shown(answer: Any) -> str:
    assert answer.status_code == 200, answer.status_code
    return str(answer.content.decode())
