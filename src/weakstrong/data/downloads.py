"""Published files: from the cache, else downloaded from their upstream address with a pinned checksum."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from weakstrong.data.row_cache import cache_folder, make_folder
from weakstrong.errors import InputError


@dataclass(frozen=True)
class Published:
    """A file that is published.

    Parameters
    ----------
    url : str
    checksum : str
        ``sha256:…`` or ``md5:…``.
    name : str
        What it is called in the cache.
    """

    url: str
    checksum: str
    name: str


def fetch(file: Published, instead: str) -> Path:
    """Path of a published file; downloaded on first use.

    Parameters
    ----------
    file : Published
    instead : str
        What a user can do who cannot download it.

    Raises
    ------
    InputError
        If it cannot be downloaded, or is not the published one.
    """
    import pooch

    folder = cache_folder() / "downloads"
    make_folder(folder)
    try:
        pooch.get_logger().setLevel("WARNING")
        return Path(pooch.retrieve(file.url, file.checksum, fname=file.name, path=folder))
    except ValueError as error:  # pooch's for another checksum
        raise InputError(
            f"{file.url}: what came has another checksum than the published {file.checksum}; {instead}"
        ) from error
    except OSError as error:  # requests' errors are OSErrors
        raise InputError(f"{file.url}: cannot be downloaded ({type(error).__name__}); {instead}") from error
