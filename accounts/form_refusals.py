"""How a page says what its deed refused: beside the field that it is about, with the refusal's own status."""

from django.forms import Form
from django.http import HttpResponse

from wallet_project.kernel.errors import Refusal


def say(form: Form, refusal: Refusal, **fields: str) -> int:
    """
    :param fields: by code, which field a refusal is about that names none.
    :returns: the HTTP status of the page that shows the form again.
    """
    for error in refusal.errors:
        form.add_error(error["field"] if error["field"] in form.fields else None, error["detail"])
    if not refusal.errors:
        field = fields.get(refusal.code, "")
        form.add_error(field if field in form.fields else None, refusal.detail)
    return refusal.status


def waiting(response: HttpResponse, seconds: int | None) -> HttpResponse:
    """With the time after which it is worth trying again, where there is one."""
    if seconds is not None:
        response["Retry-After"] = str(seconds)
    return response
