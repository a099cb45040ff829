"""Identity documents as support sees them: the waiting ones first, opened only for those who decide."""

from typing import Any, cast

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import F, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from accounts.admin.acting import act_with_reason
from accounts.forms import ReasonForm
from accounts.kyc import PERMISSION, decide, may_decide, take_back
from accounts.kyc_forms import DecisionForm
from accounts.kyc_records import open_image, open_submission
from accounts.models import KycSubmission, User
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import parse_public_id
from wallet_project.kernel.read_only_admin import FoundByNameAdmin


@admin.register(KycSubmission)
class KycSubmissionAdmin(FoundByNameAdmin):
    list_display = ("public_id", "status", "person", "full_name", "document", "ending", "submitted_at", "decided_at")
    list_filter = ("status", "document")
    list_select_related = ("user",)
    # What waits first, and of it what has waited longest.
    ordering = (F("decided_at").desc(nulls_first=True), "submitted_at")
    search_help_text = "kyc_ or usr_ id, whole e-mail or phone"
    fields = readonly_fields = (
        "public_id",
        "status",
        "person",
        "registered_name",
        "full_name",
        "document",
        "ending",
        "provider",
        "provider_reference",
        "submitted_at",
        "decided_by",
        "decided_at",
        "reason",
    )
    change_form_template = "admin/accounts/kycsubmission/change_form.html"

    @admin.display(description="id")
    def public_id(self, submission: KycSubmission) -> str:
        return submission.public_id

    @admin.display(description="person")
    def person(self, submission: KycSubmission) -> str:
        return submission.user.public_id

    @admin.display(description="name in the wallet")
    def registered_name(self, submission: KycSubmission) -> str:
        return submission.user.full_name

    @admin.display(description="number")
    def ending(self, submission: KycSubmission) -> str:
        return f"••••{submission.last_four}" if submission.last_four else "erased"

    def find(self, queryset: QuerySet[KycSubmission], term: str) -> QuerySet[KycSubmission]:
        uuid = parse_public_id(KycSubmission.PREFIX, term)
        if uuid is not None:
            return queryset.filter(uuid=uuid)
        uuid = parse_public_id(User.PREFIX, term)
        if uuid is not None:
            return queryset.filter(user__uuid=uuid)
        return queryset.filter(user__in=User.objects.filter(email=term.lower())) | queryset.filter(
            user__in=User.objects.filter(phone=term.replace(" ", ""))
        )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<int:pk>/image/", view(self.image), name="accounts_kycsubmission_image"),
            path("<int:pk>/decide/", view(self.decide), name="accounts_kycsubmission_decide"),
            path("<int:pk>/take-back/", view(self.take_back), name="accounts_kycsubmission_take_back"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        submission = cast("KycSubmission | None", self.get_object(request, object_id))
        by = cast(User, request.user)
        context = dict(extra_context or {})
        if submission is not None and by.has_perm(PERMISSION) and self.has_view_permission(request):
            context["opened"] = open_submission(submission=submission, by=by, now=timezone.now())
            if may_decide(submission=submission, by=by):
                if submission.status == KycSubmission.Status.PENDING:
                    context["decision"] = DecisionForm()
                context["may_take_back"] = submission.status == KycSubmission.Status.APPROVED
        return super().change_view(request, object_id, form_url, context)

    def image(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The picture, for whoever decides; each look is on record, and none is stored anywhere."""
        submission = self._submission(request, pk)
        try:
            content = open_image(submission=submission, by=cast(User, request.user), now=timezone.now())
        except Refusal as refusal:
            raise Http404 from refusal
        answer = HttpResponse(content, content_type="image/jpeg")
        answer["Content-Disposition"] = f'inline; filename="{submission.public_id}.jpg"'
        answer["Cache-Control"] = "no-store, private"
        answer["X-Content-Type-Options"] = "nosniff"
        return answer

    def decide(self, request: HttpRequest, pk: int) -> HttpResponse:
        """From the document's own page; what cannot be done so is said on a page in between."""
        submission = self._submission(request, pk)
        form = DecisionForm(request.POST or None)
        by = cast(User, request.user)
        approve = form.is_valid() and form.cleaned_data["decision"] == "approve"
        outcome = "approved" if approve else "refused"
        done = act_with_reason(
            self,
            request,
            row=submission,
            form=form,
            deed=lambda reason: decide(
                submission=submission, by=by, approve=approve, reason=reason, now=timezone.now()
            ),
            logged=outcome,
            told=lambda: f"{submission.public_id} is {outcome}.",
            at=reverse("admin:accounts_kycsubmission_changelist"),
        )
        template = "admin/accounts/kycsubmission/decide.html"
        return done or self.page_between(request, template, original=submission, decision=form)

    def take_back(self, request: HttpRequest, pk: int) -> HttpResponse:
        """An approval that was a mistake: asked for the reason first."""
        submission = self._submission(request, pk)
        form = ReasonForm(request.POST or None)
        by = cast(User, request.user)
        done = act_with_reason(
            self,
            request,
            row=submission,
            form=form,
            deed=lambda reason: take_back(submission=submission, by=by, reason=reason, now=timezone.now()),
            logged="taken back",
            told=lambda: f"The approval of {submission.public_id} is taken back.",
        )
        template = "admin/accounts/kycsubmission/take_back.html"
        return done or self.page_between(request, template, original=submission, form=form)

    def _submission(self, request: HttpRequest, pk: int) -> KycSubmission:
        if not (cast(User, request.user).has_perm(PERMISSION) and self.has_view_permission(request)):
            raise PermissionDenied
        submission = self.get_queryset(request).select_related("user").filter(pk=pk).first()
        if submission is None:
            raise Http404
        return cast(KycSubmission, submission)
