"""The history's calls, under /api/v1."""

from django.urls import path

from ledger import api

urlpatterns = [
    path("transactions", api.HistoryView.as_view()),
    path("transactions/<str:id>", api.TransactionView.as_view()),
]
