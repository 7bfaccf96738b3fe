"""Files that nobody else may read, written whole or not at all: readers see the old content or the new."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path


def write_privately(path: Path, content: str, hand_over: Callable[[Path], None] = lambda _path: None) -> None:
    """Write ``content`` to a file of mode 0600; ``hand_over`` gives it to another account before it appears."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        hand_over(unfinished)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
