"""The project's own source, as the house tests read it."""

import ast
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).resolve().parents[2]
ROOMS: Final = ("accounts", "wallets", "ledger", "payments")
# What production runs. The sandbox is a stranger and the local runner never leaves a developer's machine.
PRODUCTION: Final = (*ROOMS, "wallet_project")
NOT_PRODUCTION: Final = ("payments/sandbox/", "wallet_project/local/")


@cache
def files(*suffixes: str) -> tuple[str, ...]:
    """Paths, from the checkout's root, of the files that end in one of `suffixes`. Hidden directories are not ours."""
    found = []
    for directory, inner, names in os.walk(CHECKOUT):
        inner[:] = [name for name in inner if not name.startswith(".") and name != "__pycache__"]
        found += [str((Path(directory) / name).relative_to(CHECKOUT)) for name in names if name.endswith(suffixes)]
    return tuple(sorted(found))


def production_modules(*, migrations: bool = False) -> list[str]:
    """Python files of the rooms, roof and basement."""
    return [
        path
        for path in files(".py")
        if path.split("/", 1)[0] in PRODUCTION
        and not path.startswith(NOT_PRODUCTION)
        and (migrations or "/migrations/" not in path)
    ]


@cache
def text_of(path: str) -> str:
    return (CHECKOUT / path).read_text(encoding="utf-8")


@cache
def tree_of(path: str) -> ast.Module:
    return ast.parse(text_of(path), filename=path)


def imports_of(path: str) -> Iterator[str]:
    """Dotted names of all that a module imports, wherever in it."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def strings_of(path: str) -> Iterator[str]:
    """Every string in a module, with the pieces of an f-string joined by a placeholder."""
    inside: set[int] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.JoinedStr):
            inside.update(id(part) for part in node.values)
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "?" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.value


def chain_of(node: ast.expr) -> list[str]:
    """The names of a call chain from its root: `A.objects.filter(…).first()` is [A, objects, filter, first]."""
    names: list[str] = []
    current: ast.expr = node
    while True:
        if isinstance(current, ast.Call):
            current = current.func
        elif isinstance(current, ast.Attribute):
            names.append(current.attr)
            current = current.value
        elif isinstance(current, ast.Subscript):
            current = current.value
        else:
            if isinstance(current, ast.Name):
                names.append(current.id)
            return names[::-1]


def functions_of(path: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Each function or method of a module as (`Class.name` or `name`, node)."""
    for node in tree_of(path).body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef):
                    yield f"{node.name}.{inner.name}", inner
