"""What the documents point at exists, and what they list is all there is."""

import re
from typing import Final

import pytest

from tests.house.sources import CHECKOUT, files, text_of

_LINK: Final = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING: Final = re.compile(r"^#+\s+(.*)$", re.MULTILINE)
_CODE: Final = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)
_SETTING: Final = re.compile(r"\benv\.\w+\(\s*\"([A-Z_]+)\"")
_TEST: Final = re.compile(r"`([a-z]+/test_\w+\.py)::(test_\w+)`")
_CONTROL: Final = re.compile(r"^\| (?:V|API)\d+ .*$", re.MULTILINE)
_ROW: Final = re.compile(r"^\| (`[A-Z_`, ]+) \|", re.MULTILINE)
# Read by the settings, and only ever refused in production; the text below the table says so.
_NOT_IN_THE_TABLE: Final = {"WALLET_DEMO"}


def anchors_of(path: str) -> set[str]:
    """A heading's anchor: lower case, words joined by hyphens, punctuation gone."""
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in _HEADING.findall(text_of(path))}


@pytest.mark.parametrize("path", files(".md"))
def test_every_link_leads_somewhere(path: str) -> None:
    dead = []
    for target in _LINK.findall(_CODE.sub("", text_of(path))):
        if re.match(r"(https?|mailto):", target):
            continue
        name, _, anchor = target.partition("#")
        file = (CHECKOUT / path).parent / name if name else CHECKOUT / path
        if not file.exists() or (anchor and anchor not in anchors_of(str(file.resolve().relative_to(CHECKOUT)))):
            dead.append(target)

    assert dead == []


def test_the_table_of_the_environment_lists_every_setting_and_no_other() -> None:
    read = set(_SETTING.findall(text_of("wallet_project/settings.py")))
    listed = {name for row in _ROW.findall(text_of("docs/operations.md")) for name in re.findall(r"[A-Z_]+", row)}

    assert listed == read - _NOT_IN_THE_TABLE


def test_every_control_has_a_test_and_every_test_that_is_named_exists() -> None:
    text = text_of("docs/security.md")
    controls = _CONTROL.findall(text)
    assert {row.split()[1] for row in controls} == {
        *(f"V{chapter}" for chapter in range(1, 18)),
        *(f"API{risk}" for risk in range(1, 11)),
    }
    assert [row for row in controls if not _TEST.search(row)] == []
    tests = {path: text_of(f"tests/{path}") for path, _ in _TEST.findall(text) if (CHECKOUT / "tests" / path).exists()}
    missing = [f"{path}::{name}" for path, name in _TEST.findall(text) if f"\ndef {name}(" not in tests.get(path, "")]

    assert missing == []


def test_make_help_lists_every_target() -> None:
    makefile = text_of("Makefile")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    described = set(re.findall(r"^([a-z][a-z-]*):.*## ", makefile, re.MULTILINE))

    assert {"run", "test", "check", "mutants", "bench", "clean"} <= described
    # What only serves other targets says nothing.
    assert targets - described == {"install-dev"}


def test_commands_in_the_documents_exist() -> None:
    """Every `make x` and `manage.py x` that a document names can be typed."""
    makefile = text_of("Makefile")
    commands = {path.rsplit("/", 1)[-1].removesuffix(".py") for path in files(".py") if "/management/commands/" in path}
    djangos = {"migrate", "check", "collectstatic", "createsuperuser", "shell"}
    for path in files(".md"):
        for target in re.findall(r"`make ([a-z-]+)`|^make ([a-z-]+)$", text_of(path), re.MULTILINE):
            name = "".join(target)
            assert re.search(rf"^{name}:", makefile, re.MULTILINE), f"{path}: make {name}"
        for command in re.findall(r"manage\.py ([a-z_]+)", text_of(path)):
            assert command in commands | djangos, f"{path}: manage.py {command}"
