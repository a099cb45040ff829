"""What a browser's script fills in when it is to be woken. The deed judges it."""

from typing import Final

from django import forms

_LONGEST_ENDPOINT: Final = 500
_LONGEST_KEY: Final = 100


def _hidden(longest: int) -> forms.CharField:
    words = {"required": "Your browser gave no address. Try again.", "max_length": "That is none of a browser's."}
    return forms.CharField(max_length=longest, error_messages=words, widget=forms.HiddenInput)


class PushForm(forms.Form):
    endpoint = _hidden(_LONGEST_ENDPOINT)
    p256dh = _hidden(_LONGEST_KEY)
    auth = _hidden(_LONGEST_KEY)
