"""Pages of accounts, at the root."""

from django.urls import path

from accounts import factor_views, kyc_views, security_views, session_views, views

urlpatterns = [
    path("register", views.register, name="register"),
    path("verify/resend", views.resend_code, name="resend_code"),
    path("sign-in", views.sign_in, name="sign_in"),
    path("sign-in/second-factor", factor_views.second_step, name="second_step"),
    path("sign-in/second-factor/passkey", factor_views.show_passkey, name="second_step_passkey"),
    path("sign-in/second-factor/passkey/options", factor_views.passkey_options, name="second_step_passkey_options"),
    path("sign-out", views.sign_out, name="sign_out"),
    path("kyc", kyc_views.kyc, name="kyc"),
    path("security", security_views.security, name="security"),
    path("security/totp", security_views.totp_confirm, name="totp"),
    path("security/totp/begin", security_views.totp_begin, name="totp_begin"),
    path("security/totp/remove", security_views.totp_remove, name="totp_remove"),
    path("security/recovery-codes", security_views.recovery_codes_new, name="recovery_codes_new"),
    path("security/passkeys", security_views.passkey_register, name="passkey_register"),
    path("security/passkeys/options", security_views.passkey_register_options, name="passkey_register_options"),
    path("security/passkeys/<int:pk>/remove", security_views.passkey_remove, name="passkey_remove"),
    path("security/sessions", session_views.session_list, name="sessions"),
    path("security/sessions/end-others", session_views.session_end_others, name="session_end_others"),
    path("security/sessions/<str:id>/end", session_views.session_end, name="session_end"),
    path("dev/inbox", views.inbox, name="inbox"),
]
