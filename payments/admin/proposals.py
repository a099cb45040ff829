"""What one of staff proposed, and the page where another decides it."""

from typing import Any, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils import timezone

from accounts.models import User
from payments.admin.finding import transaction_named
from payments.admin.forms import DecisionForm
from payments.admin.showing import NOTHING, address_of, link_to
from payments.models import GatewayRefund, Proposal
from payments.proposal_kinds import HANDLINGS
from payments.proposals import decide, may_decide
from payments.tasks import send_refund
from payments.waking import wake
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import parse_public_id
from wallet_project.kernel.read_only_admin import FoundByNameAdmin

APPROVE = "approve"
REFUSE = "refuse"


@admin.register(Proposal)
class ProposalAdmin(FoundByNameAdmin):
    list_display = ("public_id", "kind", "what", "status", "first", "proposed_at", "second")
    list_filter = ("status", "kind")
    list_select_related = ("proposed_by", "decided_by")
    ordering = ("-pk",)
    search_help_text = "prp_ id; what it is about, as the list shows it; or what came of it (a txn_ id)"
    fields = readonly_fields = (
        "public_id",
        "kind",
        "what",
        "subject",
        "status",
        "proposed_by",
        "proposed_at",
        "reason",
        "expires_at",
        "decided_by",
        "decided_at",
        "decision",
        "outcome",
        "refund",
    )
    change_form_template = "admin/payments/proposal/change_form.html"

    @admin.display(description="id")
    def public_id(self, proposal: Proposal) -> str:
        return proposal.public_id

    @admin.display
    def what(self, proposal: Proposal) -> str:
        return HANDLINGS[proposal.kind].told(proposal)

    @admin.display(description="proposed by")
    def first(self, proposal: Proposal) -> str:
        return proposal.proposed_by.full_name

    @admin.display(description="decided by")
    def second(self, proposal: Proposal) -> str:
        return NOTHING if proposal.decided_by is None else proposal.decided_by.full_name

    @admin.display
    def refund(self, proposal: Proposal) -> str:
        """The way to what was sent to the gateway."""
        refund = refund_of(proposal)
        return NOTHING if refund is None else link_to(refund, proposal.outcome)

    def get_urls(self) -> list[URLPattern]:
        decision = path("<int:pk>/decide/", self.admin_site.admin_view(self.decide), name="payments_proposal_decide")
        return [decision, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        proposal = self.get_object(request, object_id)
        offered = (
            proposal is not None
            and proposal.status == Proposal.Status.PROPOSED
            and may_decide(proposal=proposal, by=cast(User, request.user))
        )
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "may_decide": offered})

    def decide(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Both reasons beside each other, and a yes or a no with the second one."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        proposal = self.get_queryset(request).select_related("proposed_by").filter(pk=pk).first()
        if proposal is None:
            raise Http404
        by, answer = cast(User, request.user), request.POST.get("answer", "")
        allowed = may_decide(proposal=proposal, by=by)
        form = DecisionForm(request.POST or None)
        if answer in (APPROVE, REFUSE) and form.is_valid():
            yes, reason = answer == APPROVE, form.cleaned_data["reason"]
            try:
                return self._decided(
                    request, decide(proposal=proposal, by=by, approve=yes, reason=reason, now=timezone.now())
                )
            except Refusal as refusal:
                form.add_error(None, refusal.detail)
        # After the deed, which keeps a record of whoever tried.
        if not allowed:
            raise PermissionDenied
        template, what = "admin/payments/proposal/decide.html", HANDLINGS[proposal.kind].told(proposal)
        return self.page_between(request, template, proposal=proposal, what=what, form=form)

    def _decided(self, request: HttpRequest, proposal: Proposal) -> HttpResponse:
        self.log_change(request, proposal, f"{proposal.status}: {proposal.decision}")
        if proposal.status == Proposal.Status.DONE:
            refund = refund_of(proposal)
            if refund is not None:
                wake(send_refund, transaction_id=refund.transaction_id)
            messages.success(request, f"Done: {HANDLINGS[proposal.kind].told(proposal)}")
        else:
            messages.warning(request, f"Not done. {proposal.decision}")
        return HttpResponseRedirect(address_of(proposal))

    def find(self, queryset: QuerySet[Proposal], term: str) -> QuerySet[Proposal]:
        uuid = parse_public_id(Proposal.PREFIX, term)
        if uuid is not None:
            return queryset.filter(uuid=uuid)
        about = queryset.filter(subject=term)
        return about if about.exists() else queryset.filter(outcome=term)


def refund_of(proposal: Proposal) -> GatewayRefund | None:
    """What went to the gateway because of it."""
    named = transaction_named(proposal.outcome) if proposal.outcome else None
    return None if named is None else GatewayRefund.objects.filter(named).first()
