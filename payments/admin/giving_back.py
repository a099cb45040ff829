"""Giving a top-up back to its source, from its order's page: filled in, looked over, and done once."""

from typing import Any, cast

import structlog
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone

from accounts.models import User
from ledger.models import Transaction
from payments.admin.asking import AskedAgainAdmin
from payments.admin.forms import RefundForm
from payments.admin.showing import address_of
from payments.forms import new_key
from payments.idempotency import Answer
from payments.models import GatewayOrder, GatewayRefund
from payments.refund_outcomes import left_of
from payments.refunds import PERMISSION, give_back_as_support
from payments.tasks import send_refund
from payments.waking import wake
from wallet_project.kernel.errors import Refusal, sentence_of
from wallet_project.kernel.money import Money

log = structlog.get_logger("payments.admin")

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
        """Both steps: what is not looked over yet is shown once more, and moves nothing."""
        if not (self._may_refund(request) and self.has_view_permission(request)):
            raise PermissionDenied
        order = self.get_queryset(request).select_related("transaction__to_wallet__owner").filter(pk=pk).first()
        brought = None if order is None else brought_for(order)
        if order is None or brought is None:
            raise Http404
        left = left_of(brought=brought)
        form = RefundForm(request.POST or None, initial={"key": new_key(), "amount": left.text})
        if not form.is_valid():
            return self._page(request, order, brought, form)
        if request.POST.get("step") == CONFIRM:
            # Not held against what is left: a second click finds nothing left, and is answered as the first was.
            return self._confirmed(request, order, brought, form)
        if form.cleaned_data["amount"].amount > left.amount:
            form.add_error("amount", f"No more than {left.spelled} is left to give back.")
            return self._page(request, order, brought, form)
        return self._page(request, order, brought, form, step=CONFIRM)

    def _confirmed(
        self, request: HttpRequest, order: GatewayOrder, brought: Transaction, form: RefundForm
    ) -> HttpResponse:
        amount, by = form.cleaned_data["amount"], cast(User, request.user)
        try:
            answer = give_back_as_support(
                by=by,
                transaction=brought.public_id,
                amount=amount,
                key=form.cleaned_data["key"],
                now=timezone.now(),
            )
        except Refusal as refusal:
            # Whether anything happened may be unknown (`busy`): the same key asks again.
            messages.error(request, refusal.detail)
            return self._page(request, order, brought, form, step=CONFIRM)
        self._keep(request, order, amount, form.cleaned_data["reason"], answer)
        if answer.code:
            messages.error(request, f"Nothing was given back. {sentence_of(answer.code)}")
            return self._page(request, order, brought, form.again(fresh_key=True))
        wake(send_refund, transaction_id=answer.transaction)
        messages.success(request, f"{amount.spelled} goes back to whoever paid.")
        return HttpResponseRedirect(address_of(GatewayRefund.objects.get(transaction=answer.transaction)))

    def _keep(self, request: HttpRequest, order: GatewayOrder, amount: Money, reason: str, answer: Answer) -> None:
        """Once for each key, however often it was sent."""
        if answer.replayed:
            return
        by = cast(User, request.user).public_id
        log.info("support.gave_back", by=by, order=order.pk, transaction=answer.transaction, refused=answer.code)
        outcome = f"Not given back ({answer.code})" if answer.code else "Given back"
        self.log_change(request, order, f"{outcome}: {amount.spelled}. {reason}")

    def _page(
        self,
        request: HttpRequest,
        order: GatewayOrder,
        brought: Transaction,
        form: RefundForm,
        *,
        step: str = REVIEW,
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "order": order,
            "brought": brought,
            "left": left_of(brought=brought),
            "form": form,
            "step": step,
        }
        return TemplateResponse(request, "admin/payments/gatewayorder/refund.html", context)

    def _may_refund(self, request: HttpRequest) -> bool:
        return cast(User, request.user).has_perm(PERMISSION)


def brought_for(order: GatewayOrder) -> Transaction | None:
    """The ADD that the order's payment was credited by: its own, or a later one."""
    attempts = order.attempts.select_related("credited_by__to_wallet__owner")
    credited = attempts.filter(credited_by__isnull=False).first()
    return None if credited is None else credited.credited_by
