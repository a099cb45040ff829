"""Calls that need no body."""

from typing import Any

from rest_framework.request import Request
from rest_framework.views import APIView


class BodilessView(APIView):
    """A body that comes along is judged as any other is (415, 413, 400); what it says is passed over."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        _ = request.data  # reading it parses it
