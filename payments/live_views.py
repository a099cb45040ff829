"""
What an open page asks for every other second: whether there is something new, and if so the parts of the page that say
it. Looked for, not held open: a request takes a thread of the web server for milliseconds, a stream would keep it.

The page sends back what it was given to know itself by (`data-state`). While nothing has changed the answer is 204, and
two small queries have told so. Nobody is there because a page asks: it counts neither as use of the session nor against
what its person may do (`page_limits.looks_by_itself`), and the session ends when it would.
"""

from typing import Any, Final

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.notifications import bell_of, told_after
from accounts.signed_in import SignedInRequest, signed_in
from payments.history_views import money_of
from wallet_project.kernel.page_limits import looks_by_itself
from wallets.queries import state_now, wallet_of, wallets_of

MOST_NEWS: Final = 3


@looks_by_itself
@require_safe
def live(request: HttpRequest) -> HttpResponseBase:
    """Parts for htmx to put in their places (`hx-swap-oob`); for whoever is signed out, that they are, and no more."""
    if request.user.is_authenticated:
        return _own_live(request)
    return render(request, "payments/live_over.html")


@signed_in
def _own_live(request: SignedInRequest) -> HttpResponse:
    """
    `wallet` names the one whose money the page shows, if it shows any; `seen` is the state that it is in: the newest
    notification, how many are unread, and its wallet as it stood.
    """
    wanted, seen = request.GET.get("wallet"), request.GET.get("seen", "")
    bell = bell_of(user=request.user)
    state = f"{bell.newest}.{bell.unread}"
    # Before what it stands for is read: what changes in between is found by the next look.
    if wanted is not None:
        state += f".{state_now(user=request.user, wanted=wanted)}"
    if seen == state:
        return HttpResponse(status=204)
    shown: dict[str, Any] = {
        "bell": bell,
        "state": state,
        "news": told_after(user=request.user, seen=seen.partition(".")[0], at_most=MOST_NEWS) if seen else [],
        "oob": True,
    }
    if wanted is not None:
        wallet = wallet_of(user=request.user, wanted=wanted)
        shown |= money_of(wallet=wallet, several=len(wallets_of(user=request.user)) > 1)
    return render(request, "payments/live.html", shown)
