"""The admin's site: Django's own, without what would go round a deed, and for nobody without a second factor."""

from typing import Any, NoReturn
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.admin import AdminSite
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_POST

from accounts import staff_factor
from accounts.page_sessions import close_page_session
from wallet_project.kernel.redirects import own_address


class WalletAdminSite(AdminSite):
    site_header = "Wallet"
    site_title = "Wallet"
    index_title = "What support sees"
    # Lists of ids, amounts and times need the room; the first page and the breadcrumbs lead everywhere.
    enable_nav_sidebar = False

    def has_permission(self, request: HttpRequest) -> bool:
        """Asked before every page of the admin; whoever is refused is led to `login`."""
        return super().has_permission(request) and staff_factor.may_work(request)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:  # noqa: ARG002
        """Staff sign in where everybody does: one door has the limits, the second factor and the sessions."""
        next = request.GET.get("next") or reverse("admin:index", current_app=self.name)
        if super().has_permission(request) and not staff_factor.may_work(request):
            return staff_factor.ask(request, next=own_address(request, next))
        # A program that posts to Django's own address goes on to that door with what it posted.
        return HttpResponseRedirect(
            f"{settings.LOGIN_URL}?{urlencode({'next': next}, safe='/')}", preserve_request=request.method == "POST"
        )

    # Django's own answers a page, where ours leads on.
    @method_decorator(require_POST)
    def logout(  # type: ignore[override]
        self,
        request: HttpRequest,
        extra_context: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> HttpResponse:
        """Django's would forget the browser, and leave the session open in the person's list."""
        close_page_session(request)
        return HttpResponseRedirect(reverse("home"))

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> NoReturn:  # noqa: ARG002
        """Django's form would set a password and leave tokens and other sessions alive."""
        raise Http404
