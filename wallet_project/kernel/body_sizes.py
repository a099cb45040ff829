"""How large a request's body may be: one bound for all, and a larger one for the few doors that take an image."""

from django.conf import settings


def most_bytes_for(path: str) -> int:
    """
    :param path: of the request, as its URL has it.
    """
    larger: dict[str, int] = settings.LARGER_BODIES
    return larger.get(path, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
