"""Pages of payments, at the root."""

from django.urls import path

from payments import receipt_views, views

urlpatterns = [
    path("add", views.AddMoney.as_view(), name="add"),
    path("send", views.Send.as_view(), name="send"),
    path("send/confirm", views.Send.as_view(confirming=True), name="send_confirm"),
    path("pay", views.Pay.as_view(), name="pay"),
    path("pay/confirm", views.Pay.as_view(confirming=True), name="pay_confirm"),
    path("receipts/<str:transaction>", receipt_views.receipt, name="receipt"),
    path("receipts/<str:transaction>/check", receipt_views.check, name="receipt_check"),
]
