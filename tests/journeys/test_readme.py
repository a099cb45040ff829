"""The README's story is run as it stands, against the whole running system, and says what the README says."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest

from tests.house.sources import CHECKOUT
from tests.running import Run, clean_environment

README: Final = CHECKOUT / "README.md"
_FENCE: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_STORY_SECONDS: Final = 120
# What differs from run to run, and what it becomes on both sides before they are compared.
_VARYING: Final = (
    (re.compile(r"\b(txn|wal|usr|order|pay)_[0-9A-Za-z]+"), r"\1_…"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "…Z"),
    # The README is written with a wallet that nobody else has used.
    (re.compile(r"^The ledger holds: .*$", re.MULTILINE), "The ledger holds: …"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One block of commands and what the README shows beneath it."""

    commands: str
    shown: str


def steps() -> Iterator[Step]:
    """`bash` blocks are the story; `sh` blocks are only shown."""
    blocks = _FENCE.findall(README.read_text(encoding="utf-8"))
    for number, (language, text) in enumerate(blocks):
        if language == "bash":
            follows = blocks[number + 1] if number + 1 < len(blocks) else ("", "")
            yield Step(commands=text, shown=follows[1] if follows[0] in ("text", "json") else "")


def alike(text: str) -> str:
    for pattern, replacement in _VARYING:
        text = pattern.sub(replacement, text)
    return text.strip()


@pytest.fixture(scope="module")
def said(running_wallet: Run) -> list[str]:
    """What each step says, all of them in one shell, as a person types them."""
    assert shutil.which("curl"), "curl is needed"
    mark = "--- the next step ---"
    script = f"\necho '{mark}'\n".join(step.commands for step in steps())
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=CHECKOUT,
        # A terminal beside the one of `make run`, started with the same PORT and WALLET_HOME.
        env=clean_environment(PORT=str(running_wallet.port), WALLET_HOME=str(running_wallet.home)),
        capture_output=True,
        text=True,
        timeout=_STORY_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout.split(f"{mark}\n")


def test_the_story_has_all_its_chapters() -> None:
    told = "\n".join(step.commands for step in steps())

    for word in (
        "register",
        "verify",
        "token",
        "wallet/add",
        "confirm",
        "transfer",
        "payee",
        "transactions",
        "verify_ledger",
    ):
        assert word in told


@pytest.mark.runner
@pytest.mark.parametrize("number", range(len(list(steps()))))
def test_each_step_says_what_the_readme_shows(said: list[str], number: int) -> None:
    assert alike(said[number]) == alike(list(steps())[number].shown)
