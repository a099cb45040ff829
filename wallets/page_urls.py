"""Pages of wallets, at the root."""

from django.urls import path

from wallets import views

urlpatterns = [
    path("verify", views.verify, name="verify"),
]
