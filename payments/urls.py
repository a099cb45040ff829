"""The money calls, under /api/v1."""

from django.urls import path

from payments import account_api, api, limit_api, money_back_api, not_me_api, person_block_api
from payments.gateways import GATEWAYS
from payments.merchant_webhooks import api as merchant_webhooks

urlpatterns = [
    path("wallet/transfer", api.TransferView.as_view()),
    path("wallet/pay", api.PayView.as_view()),
    path("wallet/add", api.AddView.as_view()),
    path("wallet/add/confirm", api.ConfirmView.as_view()),
    *[path(f"webhooks/{gateway}", api.webhook_view(gateway).as_view()) for gateway in GATEWAYS],
    path("transactions/<str:id>/refund", api.RefundView.as_view()),
    path("transactions/<str:id>/money-back", money_back_api.AskView.as_view()),
    path("money-back", money_back_api.MoneyBacksView.as_view()),
    path("money-back/<str:id>", money_back_api.MoneyBackView.as_view()),
    path("money-back/<str:id>/give", money_back_api.GiveView.as_view()),
    path("money-back/<str:id>/decline", money_back_api.DeclineView.as_view()),
    path("money-back/<str:id>/hold", money_back_api.HoldView.as_view()),
    path("money-back/<str:id>/withdraw", money_back_api.WithdrawView.as_view()),
    path("wallet/withdraw", api.WithdrawView.as_view()),
    path("bank-accounts", api.BankAccountsView.as_view()),
    path("bank-accounts/<str:id>", api.BankAccountView.as_view()),
    path("wallet/payee", api.PayeeView.as_view()),
    path("webhook-endpoints", merchant_webhooks.EndpointsView.as_view()),
    path("webhook-endpoints/<str:id>", merchant_webhooks.EndpointView.as_view()),
    path("webhook-endpoints/<str:id>/rotate", merchant_webhooks.RotateView.as_view()),
    path("webhook-endpoints/<str:id>/ping", merchant_webhooks.PingView.as_view()),
    path("webhook-endpoints/<str:id>/deliveries", merchant_webhooks.DeliveriesView.as_view()),
    path("webhook-endpoints/<str:id>/deliveries/<str:message>", merchant_webhooks.DeliveryView.as_view()),
    path("webhook-endpoints/<str:id>/deliveries/<str:message>/redeliver", merchant_webhooks.RedeliverView.as_view()),
    path("limits", limit_api.LimitsView.as_view()),
    path("limits/<str:type>", limit_api.OwnLimitsView.as_view()),
    path("me/close", account_api.CloseView.as_view()),
    path("me/data", account_api.DataView.as_view()),
    path("notifications/<str:id>/not-me", not_me_api.NotMeView.as_view()),
    path("me/blocked-people", person_block_api.BlockedPeopleView.as_view()),
    path("me/blocked-people/<str:id>", person_block_api.BlockedPersonView.as_view()),
]
