"""Every address of the wallet, composed from the rooms."""

from csp.decorators import csp_update
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

handler500 = "wallet_project.kernel.middleware.error_page"

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("wallet_project.health")),
    path("", include("wallet_project.metrics")),
    path("", include("accounts.page_urls")),
    path("", include("wallets.page_urls")),
    path("", include("ledger.page_urls")),
    path("", include("payments.page_urls")),
    path("", include("payments.callbacks")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("accounts.urls")),
    path("api/v1/", include("wallets.urls")),
    path("api/v1/", include("ledger.urls")),
    path("api/v1/", include("payments.urls")),
    path("api/v1/schema", SpectacularAPIView.as_view(), name="schema"),
    # Without OPTIONS: its answer would be rendered by the page's template, which cannot.
    path(
        "api/v1/docs",
        # Its stylesheet holds its own icons.
        csp_update({"img-src": ["data:"]})(
            SpectacularSwaggerView.as_view(url_name="schema", http_method_names=["get", "head"])
        ),
        name="docs",
    ),
]
