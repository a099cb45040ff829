"""Pages of accounts, at the root."""

from django.urls import path

from accounts import views

urlpatterns = [
    path("register", views.register, name="register"),
    path("verify/resend", views.resend_code, name="resend_code"),
    path("sign-in", views.sign_in, name="sign_in"),
    path("sign-out", views.sign_out, name="sign_out"),
    path("dev/inbox", views.inbox, name="inbox"),
]
