"""Know your customer: what a person shows to be known by more than an address."""

from typing import Final

from django.db import models
from django.db.models import Q

from accounts.models.people import User
from wallet_project.kernel.ids import new_uuid, public_id


class KycSubmission(models.Model):
    """
    What a person submitted to reach the FULL level, and what became of it.

    What names or places them is encrypted; `number_index` is the document number's keyed digest, by which the same
    document is found with somebody else. The image lies outside the web root, re-encoded, under `image_name`.
    """

    class Document(models.TextChoices):
        PASSPORT = "PASSPORT", "passport"
        DRIVING_LICENCE = "DRIVING_LICENCE", "driving licence"
        VOTER_ID = "VOTER_ID", "voter identity card"
        PAN = "PAN", "PAN card"

    class Status(models.TextChoices):
        PENDING = "PENDING"
        APPROVED = "APPROVED"
        REFUSED = "REFUSED"

    PREFIX: Final = "kyc"

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    user = models.ForeignKey(User, models.PROTECT, related_name="kyc_submissions")
    full_name = models.CharField(max_length=100)
    born_sealed = models.BinaryField(help_text="Date of birth, encrypted.")
    address_sealed = models.BinaryField(help_text="Where they live, encrypted.")
    document = models.CharField(max_length=15, choices=Document)
    number_sealed = models.BinaryField(help_text="Encrypted.")
    number_index = models.BinaryField(max_length=32)
    last_four = models.CharField(max_length=4)
    image_name = models.CharField(max_length=80, blank=True, help_text="Empty once erased.")
    image_digest = models.BinaryField(max_length=32)
    status = models.CharField(max_length=8, choices=Status, default=Status.PENDING)
    provider = models.CharField(max_length=20, help_text="Who looks: `support`, or a provider's name.")
    provider_reference = models.CharField(max_length=64, blank=True)
    submitted_at = models.DateTimeField()
    decided_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=500, blank=True)

    class Meta:
        default_permissions = ("view",)
        permissions = [("decide_kycsubmission", "Can approve and refuse identity documents")]
        constraints = [
            models.UniqueConstraint(fields=["user"], condition=Q(status="PENDING"), name="kyc_one_pending"),
            models.UniqueConstraint(
                fields=["document", "number_index"], condition=Q(status="APPROVED"), name="kyc_document_of_one_person"
            ),
            models.CheckConstraint(
                condition=Q(status="PENDING", decided_at__isnull=True)
                | (~Q(status="PENDING") & Q(decided_at__isnull=False)),
                name="kyc_decided_when_not_pending",
            ),
        ]
        indexes = [models.Index(fields=["submitted_at"], condition=Q(status="PENDING"), name="kyc_pending")]

    def __str__(self) -> str:
        return f"{self.public_id}: {self.status}"

    @property
    def public_id(self) -> str:
        return public_id(self.PREFIX, self.uuid)
