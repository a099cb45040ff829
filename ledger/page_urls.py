"""Pages of the ledger, at the root."""

from django.urls import path

from ledger import audit_views

urlpatterns = [
    path("audit/", audit_views.audit, name="audit"),
    path("audit/entries.csv", audit_views.entries_csv, name="audit_entries"),
]
