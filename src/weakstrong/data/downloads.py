"""Published files, taken from the cache or else downloaded and checked against a pinned checksum."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from weakstrong.data.row_cache import cache_folder, make_folder
from weakstrong.errors import InputError


@dataclass(frozen=True)
class Published:
    """A published file, with its address and checksum.

    Parameters
    ----------
    url : str
    checksum : str
        ``sha256:…`` or ``md5:…``.
    name : str
        Name of the file in the cache.
    """

    url: str
    checksum: str
    name: str


def fetch(file: Published, instead: str) -> Path:
    """Return the path of a published file, which is downloaded on first use.

    Parameters
    ----------
    file : Published
    instead : str
        Advice for a user who cannot download it, for the error message.

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
    except ValueError as error:  # pooch raises it for another checksum
        raise InputError(
            f"{file.url}: what came has another checksum than the published {file.checksum}; {instead}"
        ) from error
    except OSError as error:  # requests' errors are OSErrors
        raise InputError(f"{file.url}: cannot be downloaded ({type(error).__name__}); {instead}") from error
