"""Bodies of unknown length: HTTP/1.1's chunked coding, and HTTP/2 without a content-length."""

from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_CHUNK: Final = 64 * 1024
_MOST_READ_BYTES: Final = 32 * 1024 * 1024


class WithLength:
    """
    Gives a body its length before Django looks, which reads by nothing else and would find it empty.

    Of one past `most_kept_bytes` the rest is read away and only counted, so that it is refused by its size.
    """

    def __init__(
        self, application: "WSGIApplication", *, most_kept_bytes: int, larger: Mapping[str, int] | None = None
    ) -> None:
        """
        :param larger: paths whose bodies may be larger than that, and how large.
        """
        self._application = application
        self._most_kept_bytes = most_kept_bytes
        self._larger = larger or {}

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if "HTTP_TRANSFER_ENCODING" in environ and not environ.get("CONTENT_LENGTH"):
            most_kept = self._larger.get(environ.get("PATH_INFO", ""), self._most_kept_bytes)
            kept, length = self._read(environ["wsgi.input"], most_kept)
            environ["wsgi.input"] = BytesIO(kept)
            environ["CONTENT_LENGTH"] = str(length)
        return self._application(environ, start_response)

    def _read(self, stream: Any, most_kept: int) -> tuple[bytes, int]:
        kept, length = bytearray(), 0
        while length < _MOST_READ_BYTES and (chunk := stream.read(_CHUNK)):
            length += len(chunk)
            if len(kept) <= most_kept:
                kept += chunk
        return bytes(kept), length
