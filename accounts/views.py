"""The pages of accounts: register, send the code again, sign in, sign out; and the demo's inbox."""

from django.conf import settings
from django.contrib import messages
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import second_factor
from accounts.addresses import Address
from accounts.device_cookies import shown_by
from accounts.factor_views import begin as begin_second_step
from accounts.forms import RegisterForm, ResendForm, SignInForm
from accounts.models import User
from accounts.page_sessions import close_page_session, open_page_session
from accounts.queries import newest_claimant_of, newest_inbox_messages
from accounts.registration import register as register_person
from accounts.serializers import InboxAnswer
from accounts.sign_in import check_credentials
from accounts.tasks import wake_sender
from accounts.verification import resend
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.page_limits import counted_as
from wallet_project.kernel.redirects import own_address, see_other

# In the page session: which address waits for its code, and for which registration.
VERIFYING = "verifying"
_REGISTRATION = "registration"


@counted_as("register")
@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def register(request: HttpRequest) -> HttpResponse:
    """Claim an address. Whether somebody has it already is not shown: the next page is the same."""
    if request.user.is_authenticated:
        return redirect(settings.LOGIN_REDIRECT_URL)
    form = RegisterForm(request.POST or None)
    if form.is_valid():
        address: Address = form.cleaned_data["address"]
        try:
            registration = register_person(
                full_name=form.cleaned_data["full_name"],
                password=form.cleaned_data["password"],
                now=timezone.now(),
                **{address.channel.value: address},
            )
        except Refusal as refusal:
            _show(form, refusal)
        else:
            wake_sender(registration.messages)
            wait_for_code(request, address, registration.user)
            return see_other("verify")
    return render(
        request, "accounts/register.html", {"form": form, "here": "register"}, status=400 if form.is_bound else 200
    )


@counted_as("codes")
@never_cache
@require_POST
def resend_code(request: HttpRequest) -> HttpResponse:
    """Another code, if one is due; the page says the same in any case."""
    form = ResendForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Write the address that the code should go to.")
        return see_other("verify")
    address = form.cleaned_data["address"]
    registration = registration_of(request, address)
    wake_sender(resend(address=address, registration=registration, now=timezone.now()))
    if registration is None:
        wait_for_code(request, address)
    messages.info(request, "If that address waits for a code, another one is on its way.")
    return see_other("verify")


@counted_as("sign_in")
@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """Begin a page session, under a new session id; or the second step, for people who have a second factor."""
    if request.user.is_authenticated:
        return redirect(settings.LOGIN_REDIRECT_URL)
    form = SignInForm(request.POST or None, initial={"next": request.GET.get("next", "")})
    status, wait = 400 if form.is_bound else 200, None
    if form.is_valid():
        try:
            user = check_credentials(
                address=form.cleaned_data["address"],
                password=form.cleaned_data["password"],
                device_tokens=shown_by(request),
                now=timezone.now(),
            )
        except Refusal as refusal:
            if refusal.code == "not_verified":
                wait_for_code(request, form.cleaned_data["address"], _registered_with(form))
                messages.warning(request, "Your address is not verified yet. Enter the code that we sent you.")
                return see_other("verify")
            form.add_error(None, refusal.detail)
            status, wait = refusal.status, refusal.retry_after_seconds
        else:
            wait_for_code(request, None)
            wanted = own_address(request, form.cleaned_data["next"] or request.GET.get("next", ""))
            if second_factor.is_on(user):
                return begin_second_step(request, user=user, next=wanted)
            return _let_in(request, user, wanted)
    response = render(request, "accounts/sign_in.html", {"form": form, "here": "sign_in"}, status=status)
    if wait is not None:
        response["Retry-After"] = str(wait)
    return response


def _let_in(request: HttpRequest, user: User, wanted: str) -> HttpResponse:
    """Unless what was judged a moment ago holds no longer."""
    try:
        open_page_session(request, user=user, factor=False, now=timezone.now())
    except Refusal as refusal:
        if refusal.code == "otp_required":
            return begin_second_step(request, user=user, next=wanted)
        messages.error(request, refusal.detail)
        return see_other("sign_in")
    return see_other(wanted)


@never_cache
@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the page session; twice is as good as once."""
    close_page_session(request)
    messages.success(request, "You are signed out.")
    return see_other("sign_in")


@require_GET
def inbox(request: HttpRequest) -> HttpResponse:
    """Every message that the demo sent, newest first: JSON for programs, a page for people. Only in the demo."""
    if not settings.WALLET_DEMO:
        raise Http404
    sent = newest_inbox_messages()
    if request.get_preferred_type(["text/html", "application/json"]) == "application/json":
        response: HttpResponse = JsonResponse(InboxAnswer(sent, many=True).data, safe=False)
    else:
        response = render(request, "accounts/inbox.html", {"inbox": sent})
    response["Cache-Control"] = "no-store"
    response["Vary"] = "Accept"
    return response


def wait_for_code(request: HttpRequest, address: Address | None, user: User | None = None) -> None:
    """
    From now on this browser waits for the code of that address, if of any.

    :param user: whose registration it is, where that is known.
    """
    for name, kept in ((VERIFYING, address and address.value), (_REGISTRATION, user and user.public_id)):
        request.session.pop(name, None)
        if kept is not None:
            request.session[name] = kept


def registration_of(request: HttpRequest, address: Address) -> str | None:
    """The registration, by its public id, whose code this browser waits for at that address, if it is known."""
    waits = request.session.get(VERIFYING) == address.value
    return request.session.get(_REGISTRATION) if waits else None


def _registered_with(form: SignInForm) -> User | None:
    """Whose password this is, of an address that nobody verified. Another may have registered it this very moment."""
    claimant = newest_claimant_of(form.cleaned_data["address"])
    return claimant if claimant is not None and claimant.check_password(form.cleaned_data["password"]) else None


def _show(form: Form, refusal: Refusal) -> None:
    """A deed's refusal beside the fields that it names."""
    for error in refusal.errors:
        field = "address" if error["field"] in ("email", "phone") else error["field"]
        form.add_error(field if field in form.fields else None, error["detail"])
    if not refusal.errors:
        form.add_error(None, refusal.detail)
