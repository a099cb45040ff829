"""What browsers are told of all our pages; `page_headers` sends it. Read by the settings, and so importing nothing."""

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

from csp.constants import NONCE, NONE, SELF

# Nobody gets to a device's senses from here. Passkeys are the pages' own.
PERMISSIONS: Final[dict[str, list[str]]] = {
    **{
        feature: []
        for feature in (
            "accelerometer",
            "autoplay",
            "browsing-topics",
            "camera",
            "display-capture",
            "encrypted-media",
            "fullscreen",
            "geolocation",
            "gyroscope",
            "hid",
            "idle-detection",
            "local-fonts",
            "magnetometer",
            "microphone",
            "midi",
            "payment",
            "picture-in-picture",
            "screen-wake-lock",
            "serial",
            "usb",
            "window-management",
            "xr-spatial-tracking",
        )
    },
    "publickey-credentials-create": ["self"],
    "publickey-credentials-get": ["self"],
}


def content_security_policy(*, checkouts: Iterable[str]) -> dict[str, Any]:
    """
    For `CONTENT_SECURITY_POLICY`: only our own files, scripts by their nonce alone, nothing inline.

    :param checkouts: addresses of the gateways' pages. Adding money ends in a redirect to one of them, and browsers
        judge a form by where its redirects lead, too.
    """
    return {
        "DIRECTIVES": {
            "default-src": [NONE],
            "script-src": [NONCE],
            "style-src": [SELF],
            "img-src": [SELF],
            "connect-src": [SELF],
            # The one that shows what was pushed. A nonce is no way to name a worker.
            "worker-src": [SELF],
            "object-src": [NONE],
            "base-uri": [NONE],
            "form-action": [SELF, *sorted({_origin_of(address) for address in checkouts})],
            "frame-ancestors": [NONE],
        }
    }


def _origin_of(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"
