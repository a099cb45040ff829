"""The money calls, under /api/v1."""

from django.urls import path

from payments import api

urlpatterns = [
    path("wallet/transfer", api.TransferView.as_view()),
    path("wallet/pay", api.PayView.as_view()),
    path("wallet/add", api.AddView.as_view()),
    path("wallet/add/confirm", api.ConfirmView.as_view()),
    path("webhooks/razorpay", api.RazorpayWebhookView.as_view()),
    path("wallet/payee", api.PayeeView.as_view()),
]
