"""What the calls about merchants' webhooks take and give."""

from typing import Any, Final

from rest_framework import serializers

from payments.merchant_webhooks.event_types import CHOICES, TYPES
from payments.merchant_webhooks.log import MOST_ROWS, USUAL_ROWS
from payments.models import WebhookEndpoint, WebhookMessage
from wallet_project.kernel.fields import RowLimit, Text, UtcTime

# Far past what any of them may be: the deed says no with better words, this only bounds its work.
_LONGEST_TEXT: Final = 1000
_TYPES: Final = tuple((type, type) for type in TYPES)


class AgainRequest(serializers.Serializer[None]):
    """That it is you, once more."""

    password = Text(max_length=_LONGEST_TEXT)
    otp = Text(
        required=False,
        allow_null=True,
        max_length=_LONGEST_TEXT,
        help_text="Only with a second factor: a code of it, or a recovery code.",
    )

    @property
    def of_deed(self) -> dict[str, Any]:
        return {"password": self.validated_data["password"], "code": self.validated_data.get("otp") or ""}


class TypesField(serializers.ListField):
    child = serializers.ChoiceField(choices=_TYPES)


class EndpointRequest(AgainRequest):
    url = Text(max_length=_LONGEST_TEXT, help_text="https://, on port 443 or 8443, of a host on the public internet.")
    types = TypesField(required=False, max_length=50, help_text="Which events; without any, all that there are.")


class EndpointChanges(serializers.Serializer[None]):
    """What is left out stays as it is. Another address is another endpoint."""

    types = TypesField(required=False, allow_empty=False, max_length=50)
    active = serializers.BooleanField(required=False)


class EndpointAnswer(serializers.Serializer[Any]):
    id = serializers.CharField(source="public_id")
    url = serializers.CharField()
    types = serializers.ListField(child=serializers.CharField())
    active = serializers.SerializerMethodField()
    disabled_because = serializers.ChoiceField(
        source="reason",
        choices=[each for each in WebhookEndpoint.Reason.choices if each[0]],
        allow_null=True,
        help_text="OWNER: you switched it off. GONE: it answered 410. FAILING: it took nothing for five days.",
    )
    failing_since = UtcTime(allow_null=True, help_text="Null where it took what was sent last.")
    previous_secret_until = UtcTime(
        source="previous_until", allow_null=True, help_text="Until then the secret before signs as well."
    )
    created_at = UtcTime()

    def get_active(self, endpoint: WebhookEndpoint) -> bool:
        return endpoint.state == WebhookEndpoint.State.ACTIVE

    def to_representation(self, instance: WebhookEndpoint) -> dict[str, Any]:
        shown = super().to_representation(instance)
        shown["disabled_because"] = shown["disabled_because"] or None
        return dict(shown)


class EndpointWithSecretAnswer(EndpointAnswer):
    """`secret` is told this once."""

    secret = serializers.CharField(help_text="`whsec_` and base64: for a library of the Standard Webhooks.")


class EndpointListAnswer(serializers.Serializer[None]):
    results = EndpointAnswer(many=True)
    next = serializers.CharField(allow_null=True, help_text="Null: there are never more than a page.")


class DeliveryListRequest(serializers.Serializer[None]):
    """The query of the list."""

    limit = RowLimit(required=False, default=USUAL_ROWS, min_value=1, max_value=MOST_ROWS)
    cursor = Text(required=False, allow_blank=True)


class DeliveryAnswer(serializers.Serializer[Any]):
    """A message and where it stands."""

    id = serializers.CharField(source="public_id", help_text="Its `webhook-id`.")
    type = serializers.ChoiceField(choices=CHOICES)
    state = serializers.ChoiceField(choices=WebhookMessage.State.choices)
    tries = serializers.IntegerField(help_text="Since it was first sent, or last by hand.")
    next_attempt_at = UtcTime(allow_null=True)
    created_at = UtcTime()
    ended_at = UtcTime(allow_null=True)


class DeliveryListAnswer(serializers.Serializer[None]):
    results = DeliveryAnswer(many=True)
    next = serializers.CharField(allow_null=True, help_text="Pass it as `cursor` for the next page.")


class AttemptAnswer(serializers.Serializer[Any]):
    at = UtcTime()
    url = serializers.CharField()
    request_headers = serializers.DictField(child=serializers.CharField())
    status = serializers.IntegerField(allow_null=True, help_text="Null where nobody answered.")
    error = serializers.CharField(
        help_text="Empty, or why nobody answered: `no_public_address`, `not_connected`, `tls_failed`, `timed_out` …"
    )
    response_headers = serializers.DictField(child=serializers.CharField(), help_text="The few that say something.")
    response_body = serializers.CharField(help_text="Its first 4 KB.")
    milliseconds = serializers.IntegerField()


class DeliveryWithAttemptsAnswer(DeliveryAnswer):
    body = serializers.CharField(help_text="As it was sent and signed, to the byte, in UTF-8.")
    attempts = AttemptAnswer(many=True, help_text="The latest first.")
