"""Pages of the ledger, at the root."""

from django.urls import path

from ledger import audit_views, history_views

urlpatterns = [
    path("", history_views.home, name="home"),
    path("history", history_views.history, name="history"),
    path("audit/", audit_views.audit, name="audit"),
    path("audit/entries.csv", audit_views.entries_csv, name="audit_entries"),
]
