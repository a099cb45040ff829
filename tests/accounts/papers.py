"""Identity documents for tests: what people fill in, and pictures of every kind, honest and not."""

import io
import itertools
import secrets
import struct
import zlib
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image

from accounts.models import KycSubmission
from tests.payments.cast import Holder

_numbers = itertools.count(secrets.randbelow(9_000_000))


def picture(format: str = "JPEG", *, size: tuple[int, int] = (300, 200), **saved: Any) -> bytes:
    """A red left half and a blue right one."""
    drawn = Image.new("RGB", size, "red")
    drawn.paste("blue", (size[0] // 2, 0, *size))
    into = io.BytesIO()
    drawn.save(into, format, **saved)
    return into.getvalue()


def bomb(side: int = 8_000) -> bytes:
    """A small PNG of this many pixels squared, all white."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packer = zlib.compressobj(9)
    row = b"\0" + b"\xff" * (side // 8)
    lines = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


def passport() -> str:
    """A number that no other test uses."""
    return f"M{next(_numbers) % 10_000_000:07d}"


def papers(**changed: Any) -> dict[str, Any]:
    return {
        "full_name": "Asha Rao",
        "born": "1990-01-01",
        "address": "12, Lake Road, Bengaluru 560001",
        "document": "PASSPORT",
        "number": passport(),
        "image": picture(),
        **changed,
    }


def send(whose: Holder, *, named: str = "card.jpg", type: str = "image/jpeg", **changed: Any) -> Any:
    """Submitted by the API, as a form with a file."""
    filled = papers(**changed)
    filled["image"] = SimpleUploadedFile(named, filled["image"], type)
    headers = {"Authorization": f"Bearer {whose.access}"}
    return Client(raise_request_exception=False).post("/api/v1/me/kyc", filled, headers=headers)


def sent(whose: Holder, **changed: Any) -> KycSubmission:
    answer = send(whose, **changed)
    assert answer.status_code == 201, answer.content
    newest = KycSubmission.objects.filter(user=whose.user).latest("pk")
    assert answer.json()["submission"]["id"] == newest.public_id
    return newest


def kept_files() -> set[str]:
    directory = Path(settings.DOCUMENTS_DIR)
    return {each.name for each in directory.iterdir()} if directory.exists() else set()
