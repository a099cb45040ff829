"""The identity calls, under /api/v1."""

from django.urls import path

from accounts import account_api, address_api, api, factor_api, kyc_api, notification_api, session_api

urlpatterns = [
    path("auth/register", api.RegisterView.as_view()),
    path("auth/verify/resend", api.ResendView.as_view()),
    path("auth/token", api.TokenView.as_view()),
    path("auth/token/refresh", api.RefreshView.as_view()),
    path("auth/logout", api.LogoutView.as_view()),
    path("auth/totp", factor_api.TotpView.as_view()),
    path("auth/totp/confirm", factor_api.TotpConfirmView.as_view()),
    path("auth/password/change", account_api.PasswordChangeView.as_view()),
    path("auth/password/reset", account_api.PasswordResetView.as_view()),
    path("auth/password/reset/confirm", account_api.PasswordResetConfirmView.as_view()),
    path("me", account_api.MeView.as_view()),
    path("me/addresses", address_api.AddressesView.as_view()),
    path("me/addresses/confirm", address_api.AddressConfirmView.as_view()),
    path("me/addresses/<str:channel>", address_api.AddressView.as_view()),
    path("me/kyc", kyc_api.MyKycView.as_view()),
    path("me/notification-preferences", notification_api.PreferencesView.as_view()),
    path("me/sessions", session_api.SessionsView.as_view()),
    path("me/sessions/<str:id>", session_api.SessionView.as_view()),
    path("notifications", notification_api.NotificationsView.as_view()),
    path("notifications/read", notification_api.ReadAllView.as_view()),
    path("notifications/<str:id>/read", notification_api.ReadView.as_view()),
]
