"""What the identity calls take and give."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.addresses import Address, MalformedAddress, email_address, phone_address
from accounts.models import User
from wallet_project.kernel.fields import Text, UtcTime

# Far past what any of them may be: the deeds say no with better words, this only bounds their work.
_LONGEST_TEXT = 1000
_LONGEST_TOKEN = 4000


@extend_schema_field({"type": "string", "format": "email"})
class EmailField(Text):
    """An e-mail address, read to an `Address`."""

    def to_internal_value(self, data: Any) -> Address:  # type: ignore[override]  # a field may read to anything
        try:
            return email_address(super().to_internal_value(data).strip())
        except MalformedAddress as error:
            raise serializers.ValidationError(str(error), code="invalid") from error


@extend_schema_field({"type": "string", "example": "+919876543210", "description": "E.164"})
class PhoneField(Text):
    """A phone number in E.164, read to an `Address`."""

    def to_internal_value(self, data: Any) -> Address:  # type: ignore[override]
        try:
            return phone_address(super().to_internal_value(data))
        except MalformedAddress as error:
            raise serializers.ValidationError(str(error), code="invalid") from error


class RegisterRequest(serializers.Serializer[None]):
    """At least one of `email` and `phone`; with both, the code goes to the e-mail."""

    full_name = Text(max_length=_LONGEST_TEXT)
    password = Text(max_length=_LONGEST_TEXT)
    email = EmailField(required=False, allow_null=True, default=None, max_length=_LONGEST_TEXT)
    phone = PhoneField(required=False, allow_null=True, default=None, max_length=_LONGEST_TEXT)


class AddressRequest(serializers.Serializer[None]):
    """Exactly one of `email` and `phone`, read to `address`."""

    email = EmailField(required=False, allow_null=True, default=None, max_length=_LONGEST_TEXT)
    phone = PhoneField(required=False, allow_null=True, default=None, max_length=_LONGEST_TEXT)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        email, phone = attrs.pop("email"), attrs.pop("phone")
        if (email is None) == (phone is None):
            raise serializers.ValidationError(
                {"email": serializers.ErrorDetail("Give either an e-mail address or a phone number.", code="required")}
            )
        return {**attrs, "address": email or phone}


class VerifyRequest(AddressRequest):
    code = Text(max_length=_LONGEST_TEXT)


class TokenRequest(AddressRequest):
    password = Text(max_length=_LONGEST_TEXT)
    otp = Text(required=False, allow_null=True, max_length=_LONGEST_TEXT, help_text="Only with a second factor.")


class RefreshRequest(serializers.Serializer[None]):
    refresh = Text(max_length=_LONGEST_TOKEN)


class Person(serializers.Serializer[User]):
    """A person as they see themselves."""

    id = serializers.CharField(source="public_id")
    full_name = serializers.CharField()
    email = serializers.CharField(allow_null=True)
    phone = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(choices=User.Status.choices)
    second_factor = serializers.SerializerMethodField()
    kyc_level = serializers.ChoiceField(choices=User.KycLevel.choices)

    def get_second_factor(self, user: User) -> bool:  # noqa: ARG002
        """Nobody can enrol one yet."""
        return False


class VerificationAnswer(serializers.Serializer[Any]):
    channel = serializers.ChoiceField(choices=["email", "phone"])
    expires_at = UtcTime()


class RegisterAnswer(serializers.Serializer[Any]):
    user = Person()
    verification = VerificationAnswer()


class VerifyAnswer(serializers.Serializer[Any]):
    user = Person()


class TokenAnswer(serializers.Serializer[Any]):
    access = serializers.CharField()
    refresh = serializers.CharField()
    expires_in_seconds = serializers.IntegerField()


class InboxAnswer(serializers.Serializer[Any]):
    channel = serializers.CharField()
    to = serializers.CharField()
    subject = serializers.CharField()
    text = serializers.CharField()
    sent_at = UtcTime()
