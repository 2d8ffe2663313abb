"""What identifies code: the modules that make a result and all they import, but no comment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from weakstrong import identity
from weakstrong.identity import code_hash, import_closure, imports_of

MAKERS = (
    "paper.tasks",
    "paper.networks",
    "paper.experiments.theorem2",
    "paper.molecule_divisions",
    "estimator",
)


def loaded_by(module: str) -> set[str]:
    """Modules of the package that importing one loads, packages left out."""
    script = (
        f"import sys, {module}; print(*[m for m, x in sys.modules.items() if not hasattr(x, '__path__')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {m for m in done.stdout.split() if m.startswith("weakstrong.")}


@pytest.mark.parametrize("maker", MAKERS)
def test_the_closure_holds_every_module_that_an_import_loads(maker: str) -> None:
    module = f"weakstrong.{maker}"
    lazy = {"weakstrong.lazy"}  # packages' own, which only carries names
    assert loaded_by(module) - lazy <= import_closure(module)


def test_imports_inside_functions_count_and_those_of_type_checkers_do_not() -> None:
    assert "weakstrong.neural.gradient_heads" in import_closure("weakstrong.paper.tasks")
    assert "weakstrong.neural.multitask" in import_closure("weakstrong.paper.networks")
    assert imports_of("weakstrong") == {"weakstrong.lazy"}  # its public names are loaded when they are used


def test_no_module_imports_through_a_package_that_loads_lazily() -> None:
    """An import from a package would hide from the closure where the name lives."""
    for module in identity._modules():
        for name in imports_of(module) - {"weakstrong"}:
            assert identity._modules()[name].name != "__init__.py", (module, name)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A copy of three modules, one of which imports another, that can be changed."""
    texts = {"a": "from weakstrong.b import f\n", "b": "def f():\n    return 1\n", "c": "x = 1\n"}

    def changed(**new: str) -> None:
        for name, text in {**texts, **new}.items():
            (tmp_path / f"{name}.py").write_text(text)
        for function in (identity._modules, identity.imports_of, identity._parsed, identity._parsed_hash):
            function.cache_clear()

    places = {f"weakstrong.{name}": tmp_path / f"{name}.py" for name in texts}
    monkeypatch.setattr(identity, "_modules", lambda: places)
    identity._modules.cache_clear = lambda: None  # type: ignore[attr-defined]
    changed()
    yield changed
    for function in (identity.imports_of, identity._parsed, identity._parsed_hash):
        function.cache_clear()


def test_comments_docstrings_layout_and_other_modules_change_nothing(package) -> None:
    before = code_hash("weakstrong.a")
    for change in (
        {"b": "# why\ndef f():\n    return 1  # one\n"},
        {"b": 'def f():\n    """Say one."""\n    return 1\n'},
        {"b": "def f():\n\n\n    return (1)\n"},
        {"a": '"""A module."""\nfrom weakstrong.b import f\n'},
        {"c": "x = 2\n"},
    ):
        package(**change)
        assert code_hash("weakstrong.a") == before, change


def test_code_that_is_imported_changes_the_hash(package) -> None:
    before = code_hash("weakstrong.a")
    for change in ({"b": "def f():\n    return 2\n"}, {"a": "from weakstrong.b import f as g\n"},
                   {"b": "import weakstrong.c\n\ndef f():\n    return 1\n"}):  # fmt: skip
        package(**change)
        assert code_hash("weakstrong.a") != before, change


def test_the_whole_package_is_more_than_a_part() -> None:
    assert len({code_hash(), code_hash("weakstrong.gain"), code_hash("weakstrong.heads")}) == 3
