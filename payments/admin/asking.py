"""The button that has the gateway asked again, on the page of whatever it can be asked about."""

from typing import Any, cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils import timezone

from accounts.models import User
from payments.admin.showing import address_of
from payments.asking_again import PERMISSION, Answer, ask_again
from payments.gateways.base import GatewayRefused
from wallet_project.kernel.errors import GatewayError, Refusal
from wallet_project.kernel.read_only_admin import FoundByNameAdmin


class AskedAgainAdmin(FoundByNameAdmin):
    """Read-only, but for the one button."""

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_ask"
        ask = path("<int:pk>/ask/", self.admin_site.admin_view(self.ask_gateway), name=name)
        return [ask, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {**(extra_context or {}), "may_ask": self._may_ask(request)}
        return super().change_view(request, object_id, form_url, context)

    def ask(self, row: Any, *, by: User) -> str:
        """The deed, and what came of it in a sentence."""
        return told(ask_again(about=row, by=by, now=timezone.now()))

    def ask_gateway(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Safe to press twice: asking changes nothing but what the gateway says."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not (self._may_ask(request) and self.has_view_permission(request)):
            raise PermissionDenied
        row = self.get_queryset(request).filter(pk=pk).first()
        if row is None:
            raise Http404
        try:
            sentence, level = self.ask(row, by=cast(User, request.user)), messages.SUCCESS
        except (GatewayError, Refusal) as error:
            sentence, level = excuse(error), messages.ERROR
        messages.add_message(request, level, sentence)
        self.log_change(request, row, f"Asked the gateway again. {sentence}")
        return HttpResponseRedirect(address_of(row))

    def _may_ask(self, request: HttpRequest) -> bool:
        return cast(User, request.user).has_perm(PERMISSION)


def told(answer: Answer) -> str:
    if answer.is_news:
        return f"The gateway answered: it was {answer.before} and is {answer.after} now."
    return f"The gateway answered, and there is nothing new: it is still {answer.after}."


def excuse(error: GatewayError | Refusal) -> str:
    """Why nothing came of it, for whoever pressed the button."""
    if isinstance(error, Refusal):
        return f"Nothing was asked or decided: {error.detail}"
    if isinstance(error, GatewayRefused):
        words = [str(word) for word in (error.http_status, error.code, error.reason) if word]
        return f"The gateway would not say ({', '.join(words) or 'no reason given'}). Nothing was decided."
    return "The gateway did not answer, so nothing was decided. It is asked again by itself; or press the button again."
