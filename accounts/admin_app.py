"""Django's admin as an app of ours. Read before there are models, so apart from the site itself."""

from django.contrib.admin.apps import AdminConfig


class WalletAdminConfig(AdminConfig):
    default = False
    default_site = "accounts.site_admin.WalletAdminSite"
