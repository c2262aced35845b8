"""The files of photographs: whether they are still what the index knows."""

from __future__ import annotations

import hashlib

from clipwright.index.photo import Photo
from clipwright.server.rejection import RejectionError


def expect_unchanged(photo: Photo) -> None:
    """Raises RejectionError where the photograph's file is not there (404) or has another content by now (410)."""
    try:
        about = photo.source.stat()
        if (about.st_size, about.st_mtime_ns) == (photo.size, photo.mtime_ns):
            return
        if about.st_size == photo.size:  # touched only, or put back from a copy
            with photo.source.open("rb") as file:
                if hashlib.file_digest(file, _content_hash).digest() == photo.content_hash:
                    return
    except (FileNotFoundError, NotADirectoryError):
        if photo.offline or not photo.source.parent.exists():
            what = f"the disk or folder of the photograph {photo.id} is not there now; only its thumbnail is"
            raise RejectionError(404, "photo_offline", what) from None
        what = f"the file of the photograph {photo.id} is gone; the next update of the index removes it"
        raise RejectionError(404, "missing", what) from None
    except (OSError, ValueError):
        what = f"the file of the photograph {photo.id} may not be read"
        raise RejectionError(404, "unreadable", what) from None
    what = f"the file of the photograph {photo.id} has changed; the next update of the index reads it again"
    raise RejectionError(410, "photo_changed", what)


def _content_hash() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=16)
