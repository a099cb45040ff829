"""Giving a top-up back to its source, from its order's page: looked over, then proposed to a second person."""

from typing import Any, cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils import timezone

from accounts.models import User
from ledger.models import Transaction
from payments.admin.asking import AskedAgainAdmin
from payments.admin.forms import RefundForm
from payments.admin.showing import address_of
from payments.models import GatewayOrder, Proposal
from payments.proposals import propose
from payments.refund_outcomes import left_of
from payments.refund_proposals import terms_of
from payments.refunds import PERMISSION
from wallet_project.kernel.errors import Refusal

# Where a form stands: filled in and to be looked over, or looked over.
REVIEW = "review"
CONFIRM = "confirm"


class GivingBackAdmin(AskedAgainAdmin):
    """The order's page with that button, for leads."""

    def get_urls(self) -> list[URLPattern]:
        refund = path("<int:pk>/refund/", self.admin_site.admin_view(self.refund), name="payments_gatewayorder_refund")
        return [refund, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = dict(extra_context or {})
        if self._may_refund(request):
            order = self.get_object(request, object_id)
            brought = None if order is None else brought_for(order)
            context["may_refund"] = brought is not None and left_of(brought=brought).amount > 0
        return super().change_view(request, object_id, form_url, context)

    def refund(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Both steps: what is not looked over yet is shown once more, and nothing is proposed."""
        if not (self._may_refund(request) and self.has_view_permission(request)):
            raise PermissionDenied
        order = self.get_queryset(request).select_related("transaction__to_wallet__owner").filter(pk=pk).first()
        brought = None if order is None else brought_for(order)
        if order is None or brought is None:
            raise Http404
        left = left_of(brought=brought)
        form = RefundForm(request.POST or None, initial={"amount": left.text})
        if not form.is_valid():
            return self._page(request, order, brought, form)
        if request.POST.get("step") == CONFIRM:
            return self._confirmed(request, order, brought, form)
        if form.cleaned_data["amount"].amount > left.amount:
            form.add_error("amount", f"No more than {left.spelled} is left to give back.")
            return self._page(request, order, brought, form)
        return self._page(request, order, brought, form, step=CONFIRM)

    def _confirmed(
        self, request: HttpRequest, order: GatewayOrder, brought: Transaction, form: RefundForm
    ) -> HttpResponse:
        amount = form.cleaned_data["amount"]
        try:
            proposal = propose(
                kind=Proposal.Kind.REFUND,
                subject=brought.public_id,
                terms=terms_of(amount),
                by=cast(User, request.user),
                reason=form.cleaned_data["reason"],
                now=timezone.now(),
            )
        except Refusal as refusal:
            form.add_error(None, refusal.detail)
            return self._page(request, order, brought, form)
        self.log_change(request, order, f"Proposed {proposal.public_id}: {amount.spelled} back. {proposal.reason}")
        messages.success(request, f"Proposed. {amount.spelled} goes back once somebody else agrees.")
        return HttpResponseRedirect(address_of(proposal))

    def _page(
        self,
        request: HttpRequest,
        order: GatewayOrder,
        brought: Transaction,
        form: RefundForm,
        *,
        step: str = REVIEW,
    ) -> HttpResponse:
        template, left = "admin/payments/gatewayorder/refund.html", left_of(brought=brought)
        return self.page_between(request, template, order=order, brought=brought, left=left, form=form, step=step)

    def _may_refund(self, request: HttpRequest) -> bool:
        return cast(User, request.user).has_perm(PERMISSION)


def brought_for(order: GatewayOrder) -> Transaction | None:
    """The ADD that the order's payment was credited by: its own, or a later one."""
    attempts = order.attempts.select_related("credited_by__to_wallet__owner")
    credited = attempts.filter(credited_by__isnull=False).first()
    return None if credited is None else credited.credited_by
