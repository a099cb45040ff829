"""What every answer must tell the browser, whoever asked for it: held against each answer of the table of access."""

import re
from typing import Any, Final

from django.conf import settings

from tests.journeys.browsing import Page

EVERYWHERE: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_DEVICES: Final = ("camera=()", "microphone=()", "geolocation=()", "payment=()", "usb=()")
_NOT_A_PAGE: Final = {name: ["'none'"] for name in ("default-src", "base-uri", "form-action", "frame-ancestors")}
_NONCE: Final = re.compile(r"'nonce-[A-Za-z0-9+/]{22}=='")
# Without any of these nothing is inline, and the page need not be read tag by tag.
_PERHAPS_INLINE: Final = re.compile(r"<style|<script(?![^>]*\ssrc=)|[\s/\"'](?:style|on\w+)\s*=", re.I)
_SCRIPT: Final = re.compile(r"<script\b([^>]*)>")


def policy_of(answer: Any) -> dict[str, list[str]]:
    directives = answer.headers.get("Content-Security-Policy", "").split(";")
    return {words[0]: words[1:] for words in (directive.split() for directive in directives) if words}


def faults(answer: Any) -> list[str]:
    """What an answer lacks or gives away; empty where it is as it must be."""
    headers = answer.headers
    found = [f"{name}: {headers.get(name)}" for name, value in EVERYWHERE.items() if headers.get(name) != value]
    found += [f"Permissions-Policy lacks {one}" for one in _DEVICES if one not in headers.get("Permissions-Policy", "")]
    found += [f"{name}: {value}" for name, value in headers.items() if name.startswith("Access-Control-")]
    if "no-store" not in headers.get("Cache-Control", ""):
        found.append(f"Cache-Control: {headers.get('Cache-Control')}")
    for cookie in filter(_is_set, answer.cookies.values()):
        if not (cookie["httponly"] and cookie["samesite"] == "Lax" and cookie["path"] == "/" and not cookie["domain"]):
            found.append(f"Set-Cookie: {cookie.OutputString()}")
    policy = policy_of(answer)
    if not headers.get("Content-Type", "").startswith("text/html"):
        return found if policy == _NOT_A_PAGE else [*found, f"policy: {policy}"]
    return found + _faults_of_page(answer, policy)


def _is_set(cookie: Any) -> bool:
    """And not taken away."""
    return bool(cookie.value)


def _faults_of_page(answer: Any, policy: dict[str, list[str]]) -> list[str]:
    path = answer.wsgi_request.path
    scripts = policy.pop("script-src", [])
    checkout = settings.RAZORPAY_CHECKOUT_URL.removesuffix("/checkout")
    expected = {
        **{name: ["'none'"] for name in ("default-src", "object-src", "base-uri", "frame-ancestors")},
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"] if path == "/api/v1/docs" else ["'self'"],
        "connect-src": ["'self'"],
        "worker-src": ["'self'"],
        "form-action": ["'self'", checkout],
    }
    found = [] if policy == expected else [f"policy: {policy}"]
    (source,) = scripts or [""]
    if not (source == "'none'" or _NONCE.fullmatch(source) or (source == "'self'" and path.startswith("/admin/"))):
        found.append(f"script-src: {scripts}")
    text = answer.content.decode()
    for attributes in _SCRIPT.findall(text):
        nonce = re.search(r'nonce="([^"]+)"', attributes)
        if source != "'self'" and (nonce is None or f"'nonce-{nonce[1]}'" != source):
            found.append(f"a script that may not run: {attributes}")
    # Each of the documentation's scripts has its nonce, looked at above.
    if path != "/api/v1/docs" and _PERHAPS_INLINE.search(text):
        found += [f"inline: {one}" for one in Page(answer, path).inline]
    return found
