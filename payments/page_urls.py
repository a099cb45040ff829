"""Pages of payments, at the root."""

from django.urls import path

from payments import views

urlpatterns = [
    path("send", views.Send.as_view(), name="send"),
    path("send/confirm", views.Send.as_view(confirming=True), name="send_confirm"),
    path("pay", views.Pay.as_view(), name="pay"),
    path("pay/confirm", views.Pay.as_view(confirming=True), name="pay_confirm"),
]
