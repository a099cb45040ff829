"""What the documents point at exists, and what they list is all there is."""

import re
from typing import Final

import pytest

from tests.house.sources import CHECKOUT, files, text_of

_LINK: Final = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING: Final = re.compile(r"^#+\s+(.*)$", re.MULTILINE)
_CODE: Final = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)
_SETTING: Final = re.compile(r"\benv\.\w+\(\s*\"([A-Z_]+)\"")
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
