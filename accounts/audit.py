"""The security audit log: one row for each act that touches security, written where the act is decided."""

from datetime import datetime

import structlog

from accounts.models import SecurityEvent, User
from wallet_project.kernel.clients import client
from wallet_project.kernel.context import request_id

log = structlog.get_logger("accounts.audit")


def record(
    kind: str,
    *,
    now: datetime,
    actor: User | None = None,
    subject: User | None = None,
    refused: str = "",
    reason: str = "",
    object: str = "",
    **details: str,
) -> None:
    """
    Who did what, to whom, and with what result; from where is known of the request being served.

    Inside a transaction the row lives and dies with the act. A refusal is to be recorded outside of the one that is
    rolled back.

    :param kind: a dotted name, such as `sign_in` or `person.blocked`.
    :param actor: who did it; None for the system and for whoever is not known.
    :param subject: to whom it was done.
    :param refused: the code of the refusal; empty for what was done.
    :param object: a public id of what it was done to.
    :param details: ids and words; never a secret, a code or a whole address.
    """
    at_other_end = client.get()
    SecurityEvent.objects.create(
        kind=kind,
        result=SecurityEvent.Result.REFUSED if refused else SecurityEvent.Result.DONE,
        reason=reason or refused,
        actor_id=actor.pk if actor else None,
        subject_id=subject.pk if subject else None,
        object=object,
        address=at_other_end.address or None,
        agent=at_other_end.agent,
        request_id=request_id.get(),
        details=details,
        created_at=now,
    )
    log.info(
        "security.event",
        kind=kind,
        refused=refused,
        actor=actor.public_id if actor else "",
        subject=subject.public_id if subject else "",
        object=object,
    )
