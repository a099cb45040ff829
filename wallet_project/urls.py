"""Every address of the wallet, composed from the rooms."""

from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("wallet_project.health")),
    path("", include("accounts.page_urls")),
    path("api/v1/", include("accounts.urls")),
]
