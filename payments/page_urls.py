"""Pages of payments, at the root."""

from typing import Final

from django.urls import path

from payments import receipt_views, views

READ: Final = ["get", "head"]

urlpatterns = [
    path("add", views.AddMoney.as_view(), name="add"),
    path("send", views.Send.as_view(), name="send"),
    path("send/review/<str:key>", views.Send.as_view(step="review", http_method_names=READ), name="send_review"),
    path("send/confirm", views.Send.as_view(step="confirm"), name="send_confirm"),
    path("pay", views.Pay.as_view(), name="pay"),
    path("pay/review/<str:key>", views.Pay.as_view(step="review", http_method_names=READ), name="pay_review"),
    path("pay/confirm", views.Pay.as_view(step="confirm"), name="pay_confirm"),
    path("receipts/<str:transaction>", receipt_views.receipt, name="receipt"),
    path("receipts/<str:transaction>/check", receipt_views.check, name="receipt_check"),
]
