"""Pages of payments, at the root."""

from typing import Final

from django.urls import path

from accounts import not_me_links
from payments import (
    account_views,
    bank_account_views,
    history_views,
    limit_views,
    live_views,
    money_back_views,
    not_me_views,
    person_block_views,
    receipt_views,
    views,
)
from payments.merchant_webhooks import views as webhook_views
from payments.refund_views import GiveBack
from payments.withdrawal_views import Withdraw

READ: Final = ["get", "head"]

urlpatterns = [
    path("", history_views.home, name="home"),
    path("live", live_views.live, name="live"),
    path("history", history_views.history, name="history"),
    path("add", views.AddMoney.as_view(), name="add"),
    path("send", views.Send.as_view(), name="send"),
    path("send/review/<str:key>", views.Send.as_view(step="review", http_method_names=READ), name="send_review"),
    path("send/confirm", views.Send.as_view(step="confirm"), name="send_confirm"),
    path("pay", views.Pay.as_view(), name="pay"),
    path("pay/review/<str:key>", views.Pay.as_view(step="review", http_method_names=READ), name="pay_review"),
    path("pay/confirm", views.Pay.as_view(step="confirm"), name="pay_confirm"),
    path("withdraw", Withdraw.as_view(), name="withdraw"),
    path("withdraw/review/<str:key>", Withdraw.as_view(step="review", http_method_names=READ), name="withdraw_review"),
    path("withdraw/confirm", Withdraw.as_view(step="confirm"), name="withdraw_confirm"),
    path("bank-accounts", bank_account_views.bank_accounts, name="bank_accounts"),
    path("bank-accounts/add", bank_account_views.add, name="bank_account_add"),
    path("bank-accounts/<str:account>/remove", bank_account_views.remove, name="bank_account_remove"),
    path("limits", limit_views.limits, name="limits"),
    path("limits/<str:type>", limit_views.change, name="limits_change"),
    path("limits/<str:type>/drop", limit_views.drop, name="limits_drop"),
    path(not_me_links.PAGE, not_me_views.by_link, name="not_me"),
    path("notifications/<str:id>/not-me", not_me_views.signed_in_page, name="not_me_notification"),
    path("webhooks", webhook_views.webhooks, name="webhooks"),
    path("webhooks/add", webhook_views.add, name="webhook_add"),
    path("webhooks/<str:id>", webhook_views.webhook, name="webhook"),
    path("webhooks/<str:id>/rotate", webhook_views.rotate, name="webhook_rotate"),
    path("webhooks/<str:id>/switch", webhook_views.switch, name="webhook_switch"),
    path("webhooks/<str:id>/remove", webhook_views.remove, name="webhook_remove"),
    path("webhooks/<str:id>/ping", webhook_views.ping, name="webhook_ping"),
    path("webhooks/<str:id>/deliveries/<str:message>", webhook_views.delivery, name="webhook_delivery"),
    path("webhooks/<str:id>/deliveries/<str:message>/redeliver", webhook_views.redeliver, name="webhook_redeliver"),
    path("money-back", money_back_views.money_backs, name="money_backs"),
    path("money-back/<str:id>", money_back_views.thread, name="money_back"),
    path("money-back/<str:id>/give", money_back_views.Give.as_view(), name="money_back_give"),
    *[
        path(f"money-back/<str:id>/{word}", money_back_views.act, {"word": word}, name=f"money_back_{word}")
        for word in ("hold", "decline", "withdraw")
    ],
    path("receipts/<str:transaction>/money-back", money_back_views.ask, name="money_back_ask"),
    path("receipts/<str:transaction>/block", person_block_views.block, name="block"),
    path("account/blocked-people", person_block_views.blocked_people, name="blocked_people"),
    path("account/blocked-people/<str:id>/remove", person_block_views.unblock, name="unblock"),
    path("account/close", account_views.close, name="account_close"),
    path("account/data", account_views.data, name="account_data"),
    path("receipts/<str:transaction>", receipt_views.receipt, name="receipt"),
    path("receipts/<str:transaction>/check", receipt_views.check, name="receipt_check"),
    path("receipts/<str:transaction>/refund", GiveBack.as_view(), name="refund"),
    path(
        "receipts/<str:transaction>/refund/review/<str:key>",
        GiveBack.as_view(step="review", http_method_names=READ),
        name="refund_review",
    ),
    path("receipts/<str:transaction>/refund/confirm", GiveBack.as_view(step="confirm"), name="refund_confirm"),
]
