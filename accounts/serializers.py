"""What the identity calls take and give."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.fields import empty

from accounts.addresses import Address, MalformedAddress, email_address, phone_address
from accounts.models import User
from wallet_project.kernel.fields import Text, UtcTime

# Far past what any of them may be: the deeds say no with better words, this only bounds their work.
_LONGEST_TEXT = 1000
_LONGEST_TOKEN = 4000


class _AddressField(Text):
    """A string that is read to an `Address`, after the string itself has been judged."""

    read: Callable[[str], Address]

    def run_validation(self, data: Any = empty) -> Any:
        text = super().run_validation(data)
        if text is None:
            return None
        try:
            return type(self).read(text)
        except MalformedAddress as error:
            raise serializers.ValidationError(str(error), code="invalid") from error


@extend_schema_field({"type": "string", "format": "email"})
class EmailField(_AddressField):
    read = staticmethod(email_address)


@extend_schema_field({"type": "string", "example": "+919876543210", "description": "E.164"})
class PhoneField(_AddressField):
    read = staticmethod(phone_address)


class RegisterRequest(serializers.Serializer[None]):
    """At least one of `email` and `phone`; with both, the code goes to the e-mail."""

    full_name = Text(max_length=_LONGEST_TEXT)
    password = Text(max_length=_LONGEST_TEXT)
    email = EmailField(required=False, allow_null=True, default=None, max_length=_LONGEST_TEXT, trim_whitespace=True)
    phone = PhoneField(required=False, allow_null=True, default=None, max_length=_LONGEST_TEXT)


class AddressRequest(serializers.Serializer[None]):
    """Exactly one of `email` and `phone`, read to `address`."""

    email = EmailField(required=False, allow_null=True, default=None, max_length=_LONGEST_TEXT, trim_whitespace=True)
    phone = PhoneField(required=False, allow_null=True, default=None, max_length=_LONGEST_TEXT)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        email, phone = attrs.pop("email"), attrs.pop("phone")
        if (email is None) == (phone is None):
            raise serializers.ValidationError(
                {"email": serializers.ErrorDetail("Give either an e-mail address or a phone number.", code="required")}
            )
        return {**attrs, "address": email or phone}


class RegistrationRequest(AddressRequest):
    user = Text(
        required=False,
        allow_null=True,
        default=None,
        max_length=_LONGEST_TEXT,
        help_text="Which registration: the id that registering answered. Without it, any of this address.",
    )


class VerifyRequest(RegistrationRequest):
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
    second_factor = serializers.BooleanField()
    kyc_level = serializers.ChoiceField(choices=User.KycLevel.choices)


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


class SignInAnswer(serializers.Serializer[Any]):
    """A pair, and what makes the device known at its next sign-in (which the cookie `device` does, too)."""

    access = serializers.CharField(source="pair.access")
    refresh = serializers.CharField(source="pair.refresh")
    expires_in_seconds = serializers.IntegerField(source="pair.expires_in_seconds")
    device = serializers.CharField(help_text="Keep it, and send it as `X-Device-Token`.")


class InboxAnswer(serializers.Serializer[Any]):
    channel = serializers.CharField()
    to = serializers.CharField()
    subject = serializers.CharField()
    text = serializers.CharField()
    sent_at = UtcTime()
