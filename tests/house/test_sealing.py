"""Encryption at rest: what is sealed opens with its keys, for its purpose, and survives their rotation."""

import base64
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.conf import settings
from django.test import override_settings

from wallet_project.kernel.sealing import Unreadable, blind_index, reseal, seal, unseal

NUMBER = "501000123450001"
OLD, NEW, THIRD = (bytes([letter]) * 32 for letter in b"onx")


@contextmanager
def keys(*given: bytes) -> Iterator[None]:
    with override_settings(DATA_KEYS=list(given)):
        yield


def test_what_is_sealed_opens_again_and_tells_nothing() -> None:
    first, second = seal(NUMBER, purpose="a column"), seal(NUMBER, purpose="a column")
    assert unseal(first, purpose="a column") == unseal(memoryview(second), purpose="a column") == NUMBER
    assert first != second
    for sealed in (first, second):
        assert NUMBER.encode() not in sealed
        assert NUMBER.encode() not in base64.urlsafe_b64decode(sealed)


def test_a_value_of_one_column_does_not_open_in_another_nor_after_a_change() -> None:
    sealed = seal(NUMBER, purpose="a column")
    with pytest.raises(Unreadable):
        unseal(sealed, purpose="another column")
    changed = bytearray(base64.urlsafe_b64decode(sealed))
    for place in (0, 9, 20, len(changed) - 1):
        changed[place] ^= 1
        with pytest.raises(Unreadable):
            unseal(base64.urlsafe_b64encode(changed), purpose="a column")
        changed[place] ^= 1
    with pytest.raises(Unreadable):
        unseal(b"", purpose="a column")


def test_keys_rotate_without_a_moment_in_which_something_cannot_be_read() -> None:
    with keys(OLD):
        sealed = seal(NUMBER, purpose="a column")
        assert reseal(sealed, purpose="a column") is None
    with keys(NEW, OLD):
        assert unseal(sealed, purpose="a column") == NUMBER
        again = reseal(sealed, purpose="a column")
        assert again is not None
        assert reseal(again, purpose="a column") is None
    with keys(NEW):
        assert unseal(again, purpose="a column") == NUMBER
        with pytest.raises(Unreadable):
            unseal(sealed, purpose="a column")
        with pytest.raises(Unreadable):
            reseal(sealed, purpose="a column")
    with keys(THIRD), pytest.raises(Unreadable):
        unseal(again, purpose="a column")


def test_an_index_finds_equal_texts_and_stays_when_the_data_keys_rotate() -> None:
    index = blind_index(NUMBER, purpose="a column")
    assert len(index) == 32
    assert blind_index(NUMBER, purpose="a column") == index
    assert blind_index(NUMBER[:-1] + "2", purpose="a column") != index
    assert blind_index(NUMBER, purpose="another column") != index
    with keys(secrets.token_bytes(32), *settings.DATA_KEYS):
        assert blind_index(NUMBER, purpose="a column") == index
    with override_settings(DATA_INDEX_KEY=secrets.token_bytes(32)):
        assert blind_index(NUMBER, purpose="a column") != index
