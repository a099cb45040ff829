"""The wallets' calls, under /api/v1."""

from django.urls import path

from wallets import api

urlpatterns = [
    path("auth/verify", api.VerifyView.as_view()),
    path("wallet/balance", api.BalanceView.as_view()),
]
