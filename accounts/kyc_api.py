"""A person's identity documents by the API: how far they are, and submitting one."""

from typing import Any, cast

from django.core.files.uploadedfile import UploadedFile
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.kyc import kyc_of, submit
from accounts.models import KycSubmission, User
from wallet_project.kernel.fields import Text, UtcTime
from wallet_project.kernel.rate_limits import SAFE_METHODS
from wallet_project.kernel.schema import BODY_PROBLEMS, TOKEN_PROBLEMS, problems
from wallet_project.kernel.uploads import FormParser

# Far past what any of them may be: the deed says no with better words, this only bounds its work.
_LONGEST_TEXT = 1000


class KycRequest(serializers.Serializer[None]):
    full_name = Text(max_length=_LONGEST_TEXT, help_text="As the document has it.")
    born = serializers.DateField(input_formats=["%Y-%m-%d"], help_text="Date of birth.")
    address = Text(max_length=_LONGEST_TEXT, help_text="Where you live, 10 to 300 characters.")
    document = serializers.ChoiceField(choices=KycSubmission.Document.choices)
    number = Text(max_length=_LONGEST_TEXT, help_text="The document's number; blanks and dashes mean nothing.")
    image = serializers.FileField(help_text="JPEG, PNG or WebP: at most five megabytes and 25 million pixels.")

    def validate_image(self, file: "UploadedFile[Any]") -> bytes:
        """Its bytes; its name and its type say nothing that can be believed."""
        return bytes(file.read())


class KycSubmissionAnswer(serializers.Serializer[Any]):
    """What was submitted, as far as it is shown again."""

    id = serializers.CharField(source="public_id")
    status = serializers.ChoiceField(choices=KycSubmission.Status.choices)
    full_name = serializers.CharField()
    document = serializers.ChoiceField(choices=KycSubmission.Document.choices)
    number = serializers.SerializerMethodField(help_text="Only the last four characters: `••••4567`.")
    submitted_at = UtcTime()
    decided_at = UtcTime(allow_null=True)
    reason = serializers.CharField(help_text="Why it was approved or refused; empty before.")

    def get_number(self, submission: KycSubmission) -> str:
        return f"••••{submission.last_four}"


class KycAnswer(serializers.Serializer[Any]):
    kyc_level = serializers.ChoiceField(source="level", choices=User.KycLevel.choices)
    may_submit = serializers.BooleanField()
    submission = KycSubmissionAnswer(allow_null=True, help_text="The newest one.")


class MyKycView(APIView):
    parser_classes = (FormParser,)

    @property
    def throttle_scope(self) -> str:
        """Only what is sent costs anything."""
        return "read" if self.request.method in SAFE_METHODS else "documents"

    @extend_schema(operation_id="me_kyc", responses={200: KycAnswer, **problems(*TOKEN_PROBLEMS)}, tags=["Identity"])
    def get(self, request: Request) -> Response:
        """How well you are known, and what became of the document that you submitted last."""
        return Response(KycAnswer(kyc_of(user=cast(User, request.user))).data)

    @extend_schema(
        operation_id="me_kyc_submit",
        request={"multipart/form-data": KycRequest},
        responses={201: KycAnswer, **problems(*BODY_PROBLEMS, *TOKEN_PROBLEMS, "kyc_pending", "kyc_complete")},
        tags=["Identity"],
    )
    def post(self, request: Request) -> Response:
        """
        Submit an identity document, to be looked at. One at a time; after a refusal another may follow. The only call
        that takes `multipart/form-data`, for the sake of the image.
        """
        given = KycRequest(data=request.data)
        given.is_valid(raise_exception=True)
        user = cast(User, request.user)
        submit(user=user, now=timezone.now(), **given.validated_data)
        return Response(KycAnswer(kyc_of(user=user)).data, status=status.HTTP_201_CREATED)
