"""Pages of the ledger, at the root."""

from django.urls import path

from ledger import history_views

urlpatterns = [
    path("", history_views.home, name="home"),
    path("history", history_views.history, name="history"),
    path("receipts/<str:transaction>", history_views.receipt, name="receipt"),
]
