"""Pages of accounts; the demo's inbox for now."""

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from accounts.queries import newest_inbox_messages
from accounts.serializers import InboxAnswer


@require_GET
def inbox(request: HttpRequest) -> HttpResponse:
    """Every message that the demo sent, newest first: JSON for programs, a page for people. Only in the demo."""
    if not settings.WALLET_DEMO:
        raise Http404
    messages = newest_inbox_messages()
    if request.get_preferred_type(["text/html", "application/json"]) == "application/json":
        response: HttpResponse = JsonResponse(InboxAnswer(messages, many=True).data, safe=False)
    else:
        response = render(request, "accounts/inbox.html", {"inbox": messages})
    response["Cache-Control"] = "no-store"
    response["Vary"] = "Accept"
    return response
