"""The identity calls, under /api/v1."""

from django.urls import path

from accounts import api

urlpatterns = [
    path("auth/register", api.RegisterView.as_view()),
    path("auth/verify/resend", api.ResendView.as_view()),
    path("auth/token", api.TokenView.as_view()),
    path("auth/token/refresh", api.RefreshView.as_view()),
    path("auth/logout", api.LogoutView.as_view()),
    path("me", api.MeView.as_view()),
]
