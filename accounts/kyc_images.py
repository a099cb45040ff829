"""
Images of identity documents: known by their content, drawn anew, and kept encrypted where no web server looks.

Drawing anew is the control: whatever else a file held (a place and a camera in its EXIF, a comment, a page of HTML or
an archive after its last pixel) is not in the picture, and so not in what is kept (OWASP, File Upload Cheat Sheet).
"""

import hashlib
import io
import os
import re
import secrets
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Final

import structlog
from django.conf import settings
from PIL import Image, ImageOps

from accounts.models import KycSubmission
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.sealing import reseal, seal_bytes, unseal_bytes

log = structlog.get_logger("accounts.kyc_images")

MOST_BYTES: Final = 5 * 1024 * 1024
MOST_PIXELS: Final = 25_000_000
# Enough to read a document by, whatever the camera made of it.
LONGEST_SIDE: Final = 3000
# What a file may be, whatever its name and its headers say.
FORMATS: Final = ("JPEG", "PNG", "WEBP")
# A JPEG may be drawn in many passes, each over the whole picture; cameras and programs make about ten.
MOST_SCANS: Final = 64
_SCAN: Final = b"\xff\xda"
_QUALITY: Final = 85
# A file is written before its row. One that no row has come to name by then, none will.
UNNAMED_LIFETIME: Final = timedelta(days=1)

_PURPOSE: Final = "accounts.kyc.image"
_NAME: Final = re.compile(r"[0-9a-f]{32}\.sealed\Z")


def draw_anew(content: bytes) -> bytes:
    """
    The picture alone, upright, as a JPEG that holds nothing else; its longest side at most `LONGEST_SIDE`.

    :raises Refusal: `invalid`, of the field `image`.
    """
    if len(content) > MOST_BYTES:
        raise Refusal.of_field("image", "The image may have at most five megabytes.", "too_large")
    if content.count(_SCAN) > MOST_SCANS:
        raise _no_image("scans")
    try:
        # The formats named here are the only ones whose code sees the bytes.
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise Refusal.of_field("image", "The image may have at most 25 million pixels.", "too_large")
            image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            return _as_jpeg(ImageOps.exif_transpose(image))
    except Refusal:
        raise
    except Exception as error:
        # Decoders meet what somebody made up with a purpose, and have no list of what they raise.
        raise _no_image(type(error).__name__) from error


def keep(*, drawn: bytes) -> str:
    """
    Written whole or not at all, and on the disk when this returns.

    :returns: its name, made of nothing that anybody chose.
    """
    name = f"{secrets.token_hex(16)}.sealed"
    _write(name, seal_bytes(drawn, purpose=_PURPOSE))
    return name


def read(*, name: str, digest: bytes) -> bytes:
    """
    :param digest: what `digest_of` said when it was kept.
    :raises FileNotFoundError:
    :raises Unreadable: no data key opens it.
    :raises RuntimeError: it is some other image of ours.
    """
    drawn = unseal_bytes(_path_of(name).read_bytes(), purpose=_PURPOSE)
    if digest_of(drawn) != digest:
        raise RuntimeError("The image is not the one that was kept.")
    return drawn


def digest_of(drawn: bytes) -> bytes:
    """SHA-256: ties a file to its row."""
    return hashlib.sha256(drawn).digest()


def erase(*, name: str) -> None:
    _path_of(name).unlink(missing_ok=True)


def reseal_image(*, name: str) -> bool:
    """
    Under the first data key, if it is not yet.

    :raises FileNotFoundError:
    :raises Unreadable:
    """
    anew = reseal(_path_of(name).read_bytes(), purpose=_PURPOSE)
    if anew is not None:
        _write(name, anew)
    return anew is not None


def sweep_unnamed(*, now: datetime) -> int:
    """
    Files that no row names: of a submission that failed after its file was written, or of one that is erased.

    :returns: how many were removed.
    """
    directory = Path(settings.DOCUMENTS_DIR)
    if not directory.is_dir():
        return 0
    before, removed = (now - UNNAMED_LIFETIME).timestamp(), 0
    old = (each.name for each in os.scandir(directory) if each.is_file() and each.stat().st_mtime < before)
    while names := set(islice(old, 500)):
        named = KycSubmission.objects.filter(image_name__in=names).values_list("image_name", flat=True)
        for name in names.difference(named):
            (directory / name).unlink(missing_ok=True)
            removed += 1
    if removed:
        log.info("kyc.images_swept", removed=removed)
    return removed


def _as_jpeg(image: Image.Image) -> bytes:
    """A new picture on white ground: nothing goes along but its pixels."""
    seen = image.convert("RGBA")
    drawn = Image.new("RGB", seen.size, "white")
    drawn.paste(seen, mask=seen.getchannel("A"))
    into = io.BytesIO()
    drawn.save(into, "JPEG", quality=_QUALITY)
    return into.getvalue()


def _no_image(reason: str) -> Refusal:
    log.info("kyc.no_image", reason=reason)
    return Refusal.of_field("image", "Send a photograph or scan as a JPEG, PNG or WebP file.", "not_an_image")


def _path_of(name: str) -> Path:
    """:raises RuntimeError: no name that we made; such a one leads nowhere."""
    if not _NAME.match(name):
        raise RuntimeError("This is no name of an image.")
    return Path(settings.DOCUMENTS_DIR) / name


def _write(name: str, content: bytes) -> None:
    path = _path_of(name)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{name}.{secrets.token_hex(4)}.draft")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    _flush(path.parent)


def _flush(directory: Path) -> None:
    """A file's name is the directory's content, and must outlive a crash as well."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
