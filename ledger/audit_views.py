"""Pages of the auditor: what there is to read, and the export of all entries."""

from collections.abc import Callable, Generator, Iterator
from functools import wraps
from typing import Final

import structlog
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts import staff_factor
from accounts.signed_in import SignedInRequest, signed_in
from ledger.exports import HEADER, entries_as_csv

log = structlog.get_logger("ledger.audit")

PERMISSION: Final = "ledger.export_ledgerentry"


def for_auditors(view: Callable[[SignedInRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """
    For people who may export the ledger, once they showed a second factor; others signed in are answered 403, strangers
    sent to sign in.
    """

    @wraps(view)
    def checked(request: SignedInRequest) -> HttpResponseBase:
        if not request.user.has_perm(PERMISSION):
            raise PermissionDenied
        if not staff_factor.may_work(request):
            return staff_factor.ask(request, next=request.get_full_path())
        return view(request)

    return signed_in(require_safe(checked))


@for_auditors
def audit(request: SignedInRequest) -> HttpResponse:
    """What an auditor can take away from here."""
    return render(request, "ledger/audit.html", {"here": "audit", "columns": HEADER})


@for_auditors
def entries_csv(request: SignedInRequest) -> StreamingHttpResponse:
    """Every entry, line by line as it is read."""
    pieces = entries_as_csv()
    # The header comes once rows were read: a database that cannot be read is an error page, not half a file.
    header = next(pieces)
    log.info("audit.entries_exported", user=request.user.public_id)
    return StreamingHttpResponse(
        _from_the_start(header, pieces),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="entries.csv"'},
    )


def _from_the_start(header: str, pieces: Generator[str, None, None]) -> Iterator[str]:
    """Closed with the response, also when the reader goes away in the middle."""
    try:
        yield header
        yield from pieces
    finally:
        pieces.close()
