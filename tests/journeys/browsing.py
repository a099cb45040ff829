"""A browser without JavaScript, for tests: it opens pages, reads their forms and sends them as they stand."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

from django.test import Client

from accounts.models import User
from tests.accounts.people import code_sent_to


@dataclass(slots=True)
class PageForm:
    """A form of a page: where it goes, what is in it, and what its buttons add or change."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)


class _Reader(HTMLParser):
    """Forms, visible text, and every address that a page asks the browser to load."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[PageForm] = []
        self.loads: list[str] = []
        self.inline: list[str] = []
        self.words: list[str] = []
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(PageForm(given.get("action", "")))
        elif tag == "input" and self.forms and given.get("name"):
            # A box that must be ticked is ticked; else nothing could be sent.
            ticked = given.get("type") == "checkbox" and "required" in given
            self.forms[-1].fields[given["name"]] = given.get("value", "on" if ticked else "")
        elif tag == "select" and self.forms:
            self._select = given["name"]
            self.forms[-1].fields[self._select] = ""
        elif tag == "option" and "selected" in given:
            self.forms[-1].fields[self._select] = given["value"]
        if tag == "style" or (tag == "script" and "src" not in given) or "style" in given:
            self.inline.append(tag)
        self.inline += [name for name in given if name.startswith("on")]
        self.loads += [given[name] for name in ("src", "srcset") if name in given]
        if tag in ("link", "use"):
            self.loads.append(given.get("href") or given.get("xlink:href", ""))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


class Page:
    """What the server answered, as a person finds it. `at` is its address, where forms without one go."""

    def __init__(self, response: Any, at: str) -> None:
        self.response = response
        self.status: int = response.status_code
        self.location: str = response.headers.get("Location", "")
        self._reader = _Reader()
        if response.headers.get("Content-Type", "").startswith("text/html"):
            self._reader.feed(response.content.decode())
        for form in self._reader.forms:
            form.action = form.action or at

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._reader.words).split())

    @property
    def loads(self) -> list[str]:
        return self._reader.loads

    @property
    def inline(self) -> list[str]:
        """Inline styles, scripts and handlers: a strict policy would refuse them."""
        return self._reader.inline

    @property
    def forms(self) -> list[PageForm]:
        """All but the header's sign-out."""
        return [form for form in self._reader.forms if form.action != "/sign-out"]

    @property
    def form(self) -> PageForm:
        (form,) = self.forms
        return form

    @property
    def asks_for_code(self) -> bool:
        return self.status == 403 and "code" in self.forms[0].fields

    @property
    def key(self) -> str:
        return self.form.fields["key"]


class Browser:
    """One person's browser, signed in; it checks forgery tokens as the real server does."""

    def __init__(self, user: User | None = None) -> None:
        self.client = Client(enforce_csrf_checks=True, raise_request_exception=False)
        if user is not None:
            self.client.force_login(user)

    def open(self, path: str) -> Page:
        return Page(self.client.get(path), urlsplit(path).path)

    def send(self, form: PageForm, **filled: str) -> Page:
        """Press the form's button, with these fields filled in or changed."""
        return Page(self.client.post(form.action, {**form.fields, **filled}), form.action)

    def confirm(self, form: PageForm, *, address: str) -> Page:
        """Send it, and the code that went to this address, where one is asked for."""
        page = self.send(form)
        return self.send(page.forms[0], code=code_sent_to(address)) if page.asks_for_code else page

    def follow(self, page: Page) -> Page:
        assert page.status in (302, 303), (page.status, page.text)
        return self.open(page.location)

    def review(self, path: str, **filled: str) -> Page:
        """The first two steps of a payment: the review, or the form again where something is wrong."""
        return self.reviewed(self.open(path).form, **filled)

    def reviewed(self, form: PageForm, **filled: str) -> Page:
        sent = self.send(form, **filled)
        return self.follow(sent) if sent.status == 303 else sent
