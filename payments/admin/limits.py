"""The operator's limits with their history, and the page on which a lead proposes others; people's own."""

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils import timezone

from accounts.models import User
from payments.admin.showing import address_of
from payments.limit_forms import HoldingLimitForm, LimitRuleForm
from payments.limit_rules import (
    PERMISSION,
    holding_in_force,
    holding_terms,
    limit_subject,
    limit_terms,
    rule_in_force,
)
from payments.models import HoldingLimit, LimitRule, OwnLimit, Proposal
from payments.proposals import propose
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import parse_public_id
from wallet_project.kernel.money import Money
from wallet_project.kernel.read_only_admin import FoundByNameAdmin, ReadOnlyAdmin


def _spelled(amount: Decimal | None) -> str:
    return "none" if amount is None else Money(amount, "INR").spelled


class ProposedAdmin(ReadOnlyAdmin):
    """Rows that are only added, each by a proposal that a second person agreed to."""

    list_filter = ("kyc_level",)
    list_select_related = ("set_by",)
    change_list_template = "admin/payments/limits/change_list.html"
    form_class: ClassVar[type[forms.Form]]
    kind: ClassVar[str]

    def in_force(self, row: Any, now: datetime) -> Any:
        """The row that holds where this one belongs."""
        raise NotImplementedError

    def about(self, form: Any) -> tuple[str, dict[str, str]]:
        """The subject and the terms of what is proposed."""
        raise NotImplementedError

    @admin.display(description="in force", boolean=True)
    def holds(self, row: Any) -> bool:
        held = self.in_force(row, timezone.now())
        return held is not None and held.pk == row.pk

    def get_urls(self) -> list[URLPattern]:
        name = f"payments_{self.opts.model_name}_propose"
        return [path("propose/", self.admin_site.admin_view(self.propose), name=name), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {
            **(extra_context or {}),
            "propose_url": f"admin:payments_{self.opts.model_name}_propose" if self._may_propose(request) else "",
        }
        return super().changelist_view(request, context)

    def propose(self, request: HttpRequest) -> HttpResponse:
        """Filled in by one; another of staff decides on the proposal's page."""
        if not (self._may_propose(request) and self.has_view_permission(request)):
            raise PermissionDenied
        form = self.form_class(request.POST or None)
        if form.is_valid():
            subject, terms = self.about(form)
            try:
                proposal = propose(
                    kind=self.kind,
                    subject=subject,
                    terms=terms,
                    by=cast(User, request.user),
                    reason=form.cleaned_data["reason"],
                    now=timezone.now(),
                )
            except Refusal as refusal:
                self._say(form, refusal)
            else:
                messages.success(request, f"Proposal {proposal.public_id} waits for a second person.")
                return HttpResponseRedirect(address_of(proposal))
        return self.page_between(request, "admin/payments/limits/propose.html", form=form)

    def _say(self, form: forms.Form, refusal: Refusal) -> None:
        for error in refusal.errors:
            form.add_error(error["field"] if error["field"] in form.fields else None, error["detail"])
        if not refusal.errors:
            form.add_error(None, refusal.detail)

    def _may_propose(self, request: HttpRequest) -> bool:
        return cast(User, request.user).has_perm(PERMISSION)


@admin.register(LimitRule)
class LimitRuleAdmin(ProposedAdmin):
    list_display = ("kyc_level", "type", "once", "a_day", "a_month", "since", "holds", "set_by")
    list_filter = ("kyc_level", "type")  # type: ignore[assignment]
    ordering = ("kyc_level", "type", "-since", "-pk")
    fields = readonly_fields = (
        "kyc_level",
        "type",
        "once",
        "a_day",
        "a_month",
        "since",
        "holds",
        "set_by",
        "reason",
    )
    form_class = LimitRuleForm
    kind = Proposal.Kind.LIMIT

    @admin.display(description="at once")
    def once(self, rule: LimitRule) -> str:
        return _spelled(rule.per_transaction)

    @admin.display(description="a day")
    def a_day(self, rule: LimitRule) -> str:
        return _spelled(rule.per_day)

    @admin.display(description="a month")
    def a_month(self, rule: LimitRule) -> str:
        return _spelled(rule.per_month)

    def in_force(self, row: LimitRule, now: datetime) -> LimitRule | None:
        return rule_in_force(level=row.kyc_level, type=row.type, now=now)

    def about(self, form: LimitRuleForm) -> tuple[str, dict[str, str]]:
        subject = limit_subject(level=form.cleaned_data["kyc_level"], type=form.cleaned_data["type"])
        return subject, limit_terms(**form.amounts)


@admin.register(HoldingLimit)
class HoldingLimitAdmin(ProposedAdmin):
    list_display = ("kyc_level", "at_most", "since", "holds", "set_by")
    ordering = ("kyc_level", "-since", "-pk")
    fields = readonly_fields = ("kyc_level", "at_most", "since", "holds", "set_by", "reason")
    form_class = HoldingLimitForm
    kind = Proposal.Kind.HOLDING

    @admin.display
    def at_most(self, rule: HoldingLimit) -> str:
        return _spelled(rule.most)

    def in_force(self, row: HoldingLimit, now: datetime) -> HoldingLimit | None:
        return holding_in_force(level=row.kyc_level, now=now)

    def about(self, form: HoldingLimitForm) -> tuple[str, dict[str, str]]:
        return form.cleaned_data["kyc_level"], holding_terms(**form.amounts)


@admin.register(OwnLimit)
class OwnLimitAdmin(FoundByNameAdmin):
    list_display = ("person", "type", "once", "a_day", "a_month", "asked_at", "since", "dropped_at")
    list_filter = ("type",)
    list_select_related = ("user",)
    ordering = ("-pk",)
    search_help_text = "usr_ id"
    fields = readonly_fields = list_display

    @admin.display
    def person(self, own: OwnLimit) -> str:
        return own.user.public_id

    @admin.display(description="at once")
    def once(self, own: OwnLimit) -> str:
        return _spelled(own.per_transaction)

    @admin.display(description="a day")
    def a_day(self, own: OwnLimit) -> str:
        return _spelled(own.per_day)

    @admin.display(description="a month")
    def a_month(self, own: OwnLimit) -> str:
        return _spelled(own.per_month)

    def find(self, queryset: QuerySet[OwnLimit], term: str) -> QuerySet[OwnLimit]:
        uuid = parse_public_id(User.PREFIX, term)
        return queryset.none() if uuid is None else queryset.filter(user__uuid=uuid)
