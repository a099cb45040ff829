"""What beat has the ledger do."""

from celery import shared_task

from accounts.actors import system_actor
from ledger.holds import release_expired_holds


@shared_task(name="ledger.release_expired_holds")
def release_expired() -> None:
    release_expired_holds(initiator=system_actor("holds").pk)
