"""Pages of accounts, at the root."""

from django.urls import path

from accounts import session_views, views

urlpatterns = [
    path("register", views.register, name="register"),
    path("verify/resend", views.resend_code, name="resend_code"),
    path("sign-in", views.sign_in, name="sign_in"),
    path("sign-out", views.sign_out, name="sign_out"),
    path("security/sessions", session_views.session_list, name="sessions"),
    path("security/sessions/end-others", session_views.session_end_others, name="session_end_others"),
    path("security/sessions/<str:id>/end", session_views.session_end, name="session_end"),
    path("dev/inbox", views.inbox, name="inbox"),
]
