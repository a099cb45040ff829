"""Pages of accounts, at the root."""

from django.urls import path

from accounts import (
    account_views,
    address_views,
    consent_views,
    factor_views,
    kyc_views,
    lost_factor_stops,
    lost_factor_views,
    security_views,
    session_views,
    views,
)
from accounts.address_undo import PAGE

urlpatterns = [
    path("register", views.register, name="register"),
    path("verify/resend", views.resend_code, name="resend_code"),
    path("sign-in", views.sign_in, name="sign_in"),
    path("sign-in/second-factor", factor_views.second_step, name="second_step"),
    path("sign-in/second-factor/passkey", factor_views.show_passkey, name="second_step_passkey"),
    path("sign-in/second-factor/passkey/options", factor_views.passkey_options, name="second_step_passkey_options"),
    path("sign-in/lost-factor", lost_factor_views.lost_factor, name="lost_factor"),
    path(lost_factor_stops.PAGE, lost_factor_views.lost_factor_stop, name="lost_factor_stop"),
    path("sign-out", views.sign_out, name="sign_out"),
    path("terms", consent_views.terms, name="terms"),
    path("privacy", consent_views.privacy, name="privacy"),
    path("consent", consent_views.consent, name="consent"),
    path("password/reset", account_views.reset, name="password_reset"),
    path("password/reset/confirm", account_views.reset_confirm, name="password_reset_confirm"),
    path("account", account_views.account, name="account"),
    path("account/password", account_views.password, name="password_change"),
    path("account/addresses/add", address_views.add, name="address_add"),
    path("account/addresses/confirm", address_views.confirm, name="address_confirm"),
    path(PAGE, address_views.undo, name="address_undo"),
    path("account/addresses/<str:channel>/remove", address_views.remove, name="address_remove"),
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
