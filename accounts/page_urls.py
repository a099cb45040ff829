"""Pages of accounts, at the root."""

from django.urls import path

from accounts import views

urlpatterns = [
    path("dev/inbox", views.inbox, name="inbox"),
]
