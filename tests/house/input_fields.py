"""Everything that people may fill in: the fields of every form and of every body that the API reads."""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from typing import Any, Final

from django import forms
from rest_framework import serializers

from tests.house.sources import PRODUCTION

# A stranger, and what never leaves a developer's machine.
_NOT_PRODUCTION: Final = ("payments.sandbox", "wallet_project.local", "wallet_project.wsgi")
_OURS: Final = tuple(f"{room}." for room in PRODUCTION)
# Serializers that only answer, as all do that are called so.
_ONLY_ANSWER: Final = frozenset({"Person", "Problem", "FieldError"})


def input_fields() -> dict[str, Any]:
    """`module.Class.field` to the field; a class whose name begins with an underscore only serves others."""
    _import_all()
    found: dict[str, Any] = {}
    for form in _descendants(forms.BaseForm):
        found |= _of(form, getattr(form, "base_fields", {}))
    for serializer in _descendants(serializers.BaseSerializer):
        if not serializer.__name__.endswith("Answer") and serializer.__name__ not in _ONLY_ANSWER:
            declared = getattr(serializer, "_declared_fields", {})
            found |= _of(serializer, {name: field for name, field in declared.items() if not field.read_only})
    return found


def _of(owner: type, fields: Mapping[str, Any]) -> dict[str, Any]:
    if owner.__name__.startswith("_"):
        return {}
    return {f"{owner.__module__}.{owner.__name__}.{name}": field for name, field in fields.items()}


def _import_all() -> None:
    for room in PRODUCTION:
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, f"{room}."):
            if not module.name.startswith(_NOT_PRODUCTION) and ".migrations" not in module.name:
                importlib.import_module(module.name)


def _descendants(base: type) -> Iterator[type]:
    """Of ours; each once."""
    seen: set[type] = set()
    waiting = [base]
    while waiting:
        for child in waiting.pop().__subclasses__():
            if child not in seen:
                seen.add(child)
                waiting.append(child)
                if child.__module__.startswith(_OURS):
                    yield child
