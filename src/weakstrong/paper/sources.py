"""What rows are computed from: where it lies, and what takes long to make."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from weakstrong.parallel import Workers
    from weakstrong.progress import Advance

Meter = Callable[[int, str], AbstractContextManager["Advance"]]


@dataclass(frozen=True)
class Places:
    """Where models and data are.

    Parameters
    ----------
    models : Path, optional
        Folder of encoders; ``models`` in the working folder, then in the clone that the package is of.
    data : Path, optional
        Data folder, else what WEAKSTRONG_DATA names; feature files are looked for there too.
    """

    models: Path | None = None
    data: Path | None = None


class Source(ABC):
    """Something that rows are computed from and that takes long to make, kept in a file: a network, say.

    Experiments that need the same have equal sources.
    """

    kind: ClassVar[str]
    module: ClassVar[str]  # the module whose code it follows from

    @property
    @abstractmethod
    def file_name(self) -> str:
        """The name of its file, by what it follows from beside code."""

    @classmethod
    @abstractmethod
    def make(cls, missing: Sequence[Any], folder: Path, pool: Workers, meter: Meter) -> None:
        """Make several of them and write their files into a folder."""
