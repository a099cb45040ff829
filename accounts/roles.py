"""
Groups and what they may do: `support`, `support_lead`, `auditor`.

Each app's permissions are granted by a migration of that app or of one above it, with `grant`.
"""

from collections.abc import Iterable
from typing import Final

from django.apps.registry import Apps
from django.contrib.auth.models import Group

from accounts.models import User
from wallet_project.kernel.database import require_transaction

SUPPORT: Final = "support"
SUPPORT_LEAD: Final = "support_lead"
AUDITOR: Final = "auditor"
ALL: Final = (SUPPORT, SUPPORT_LEAD, AUDITOR)


def grant(
    apps: Apps, alias: str, *, groups: Iterable[str], permissions: Iterable[str], model: str | None = None
) -> None:
    """
    For migrations: give each of `groups` each of `permissions`, written `app.codename` where the codename ends
    in the model's name (`wallets.view_wallet`, `accounts.block_user`).

    Django makes its permission rows only after the last migration of a run, so missing ones are made here; it
    then finds them. Safe to run twice.

    :param model: lower case; whose permissions they are, where their codenames do not say so.
    """
    group_model = apps.get_model("auth", "Group")
    content_types = apps.get_model("contenttypes", "ContentType").objects.using(alias)
    permission_rows = apps.get_model("auth", "Permission").objects.using(alias)
    # Not `group.permissions.add`: the router would send that to another connection than the migration's.
    granted = group_model.permissions.through.objects.using(alias)
    group_rows = [group_model.objects.using(alias).get_or_create(name=name)[0] for name in groups]
    for name in permissions:
        app_label, codename = name.split(".")
        content_type, _ = content_types.get_or_create(app_label=app_label, model=model or codename.rpartition("_")[2])
        permission, _ = permission_rows.get_or_create(
            content_type=content_type, codename=codename, defaults={"name": f"Can {codename.replace('_', ' ')}"}
        )
        for group in group_rows:
            granted.get_or_create(group_id=group.pk, permission_id=permission.pk)


def appoint(*, user: User, group: str) -> None:
    """
    Give a person a role and let them into the admin. For operators and the demo: no door calls it.

    :raises Group.DoesNotExist: a role that no migration made.
    """
    require_transaction("default")
    user.groups.add(Group.objects.get(name=group))
    user.is_staff = True
    user.save(update_fields=["is_staff"])


def appoint_superuser(*, user: User) -> None:
    """Let a person do everything that the admin offers. For operators and the demo: no door calls it."""
    user.is_superuser = user.is_staff = True
    user.save(update_fields=["is_superuser", "is_staff"])
