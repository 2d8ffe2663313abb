"""Sources that rows are computed from, and the folders of models and data."""

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
    """Folders of models and data.

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
    """An input of the rows that takes long to make and is kept in a file, such as a network.

    Experiments that need the same have equal sources.
    """

    kind: ClassVar[str]
    module: ClassVar[str]  # whose code the file depends on

    @property
    @abstractmethod
    def file_name(self) -> str:
        """Name of its file, which identifies it for one version of the code."""

    @classmethod
    @abstractmethod
    def make(cls, missing: Sequence[Any], folder: Path, pool: Workers, meter: Meter) -> None:
        """Make the missing sources and write their files into a folder."""
