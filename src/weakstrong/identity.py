"""What identifies a result: hashes of the values it was made from and of the code, and versions.

The code is found, not listed: a module, and every module of this package that it imports, directly or not.
It is hashed as it is parsed, so comments, docstrings and layout identify nothing.
"""

from __future__ import annotations

import ast
import hashlib
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from weakstrong.arrays import row_blocks

_PACKAGE = Path(__file__).parent


def fingerprint(*parts: Any) -> str:
    """Hash arrays, dataclasses, mappings, sequences and plain values with SHA-256."""
    digest = hashlib.sha256()
    for part in parts:
        _feed(digest, part)
    return digest.hexdigest()


def _feed(digest: Any, part: Any) -> None:
    """Add a value to a digest; its type and length tell it apart from what follows."""
    if is_dataclass(part) and not isinstance(part, type):
        part = {f.name: getattr(part, f.name) for f in fields(part)}
    if isinstance(part, np.ndarray) and part.dtype != object:
        digest.update(f"{part.dtype}{part.shape}".encode())
        rows = np.atleast_1d(part)
        for block in row_blocks(len(rows) if part.size else 0, part.size // max(len(rows), 1)):
            digest.update(np.ascontiguousarray(rows[block]).view(np.uint8).data)
    elif isinstance(part, Mapping | list | tuple | np.ndarray):
        items = list(part.items()) if isinstance(part, Mapping) else list(part)
        digest.update(f"{type(part).__name__}{len(items)}".encode())
        for item in items:
            _feed(digest, item)
    else:
        digest.update(f"{type(part).__name__}:{part!r};".encode())


def file_hash(path: Path) -> str:
    """Hash a file with SHA-256."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def provenance() -> dict[str, Any]:
    """Name the versions that numbers can depend on."""
    packages = ("numpy", "scipy", "scikit-learn", "pandas")
    return {
        "weakstrong": version("weakstrong"),
        "code": code_hash()[:16],
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }


def code_hash(*roots: str) -> str:
    """Hash the code that modules run: their own and that of all they import from this package.

    Parameters
    ----------
    *roots : str
        Names of modules, as ``weakstrong.estimator``; the whole package if none is named. A module from
        elsewhere counts by its name alone.
    """
    names = import_closure(*roots) if roots else frozenset(_modules())
    return fingerprint([(name, _parsed_hash(name)) for name in sorted(names)])


def import_closure(*roots: str) -> frozenset[str]:
    """Name the modules of this package that the given ones need, themselves included.

    Imports inside functions count; those for type checkers only do not.
    """
    closure: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name not in closure:
            closure.add(name)
            waiting.extend(imports_of(name))
    return frozenset(closure)


@cache
def imports_of(module: str) -> frozenset[str]:
    """Name the modules of this package that one module imports directly."""
    return frozenset(_imported(_parsed(module))) if module in _modules() else frozenset()


@cache
def _modules() -> Mapping[str, Path]:
    """Every module of the package with its file, packages under their own name."""
    places = {}
    for path in _PACKAGE.rglob("*.py"):
        parts = path.relative_to(_PACKAGE.parent).with_suffix("").parts
        places[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return places


@cache
def _parsed(module: str) -> ast.Module:
    return ast.parse(_modules()[module].read_text(encoding="utf-8"))


@cache
def _parsed_hash(module: str) -> str:
    """Hash of a module without its docstrings, as Python writes it back."""
    if module not in _modules():
        return ""
    tree = _parsed(module)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [s for s in node.body if not _is_text(s)] or [ast.Pass()]
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _imported(node: ast.AST) -> Iterator[str]:
    """Modules of this package that a piece of code imports, except for type checkers alone."""
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return
    known = _modules()
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in known)
    elif isinstance(node, ast.ImportFrom) and node.module is not None and node.module in known:
        inside = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name for name in inside if name in known)
        if any(name not in known for name in inside):
            yield node.module
    for child in ast.iter_child_nodes(node):
        yield from _imported(child)
