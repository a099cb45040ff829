"""The admin's site: Django's own, without what would go round a deed."""

from typing import Any, NoReturn

from django.contrib.admin import AdminSite
from django.contrib.admin.apps import AdminConfig
from django.http import Http404, HttpRequest


class WalletAdminSite(AdminSite):
    site_header = "Wallet"
    site_title = "Wallet"
    index_title = "What support sees"
    # Lists of ids, amounts and times need the room; the first page and the breadcrumbs lead everywhere.
    enable_nav_sidebar = False

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> NoReturn:  # noqa: ARG002
        """Django's form would set a password and leave tokens and other sessions alive."""
        raise Http404


class WalletAdminConfig(AdminConfig):
    default = False
    default_site = "accounts.site_admin.WalletAdminSite"
