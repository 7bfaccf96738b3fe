"""Where a service may live and as whom: root hands over to an unprivileged user, who must be able to get there.

Nothing outside the service's own directory has its permissions touched. Where a parent folder shuts the
unprivileged user out (a home of mode 0700), the service lives in a folder of its own elsewhere instead.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from runtime.children import Account, ServiceError

_SYSTEM_HOME = Path("/var/lib/wearsight")
_NOBODY_ID = 65534
_NOT_NEEDED = shutil.ignore_patterns("include", "*.a", "pgxs", "__pycache__")


@dataclass(frozen=True, slots=True)
class Lodging:
    """A directory that the service can reach, and the account it runs under (None: as we are)."""

    directory: Path
    account: Account | None

    def private_folder(self, name: str) -> Path:
        """Return the folder ``name`` inside, made when missing, of mode 0700 and owned by the service's account."""
        folder = self.directory / name
        if not folder.exists():
            folder.mkdir(mode=0o700)
        self.hand_over(folder)
        folder.chmod(0o700)
        return folder

    def hand_over(self, path: Path) -> None:
        """Give a file or folder of ours to the service's account."""
        if self.account is not None:
            os.chown(path, self.account.uid, self.account.gid, follow_symlinks=False)

    def reachable_program(self, program: Path, *, copy_root: Path, companions: tuple[Path, ...] = ()) -> Path:
        """Return a path under which the account can run ``program``.

        Where a folder on the way shuts it out, ``copy_root`` (a folder that contains the program) and the
        ``companions`` beside it are copied into our own directory once, keeping how they lie to each other.
        """
        if self.account is None or _open_to(program, self.account):
            return program
        stamp = f"{copy_root.stat().st_mtime_ns:x}-{hashlib.sha256(str(program).encode()).hexdigest()[:8]}"
        copies = self.directory / "programs" / stamp
        if not copies.exists():
            copies.parent.mkdir(mode=0o755, exist_ok=True)
            copies.parent.chmod(0o755)
            unfinished = Path(tempfile.mkdtemp(prefix="copy-", dir=copies.parent))
            for source in (copy_root, *companions):
                target = unfinished / source.relative_to(copy_root.parent)
                if source.is_dir():
                    shutil.copytree(
                        source, target, ignore=shutil.ignore_patterns("include", "*.a", "pgxs", "__pycache__")
                    )
                else:
                    shutil.copy2(source, target)
            _open_for_reading(unfinished)
            unfinished.rename(copies)
        return copies / program.relative_to(copy_root.parent)


def find_lodging(directory: Path) -> Lodging:
    """Make ``directory`` (or, for root, a reachable place instead of it) and say who the service runs as.

    :raises ServiceError: when it cannot be made or belongs to somebody else.
    """
    directory = directory.absolute()
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o711 if os.geteuid() == 0 else 0o700)
    except OSError as error:
        raise ServiceError(
            f"The folder {directory} cannot be made: {error.strerror}. "
            "Name one that can be written with WEARSIGHT_DATA_DIR."
        ) from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise ServiceError(
            f"The folder {directory} belongs to {_owner_of(directory)} and cannot be written. "
            "Run as that user, or name another folder with WEARSIGHT_DATA_DIR."
        )
    if os.geteuid() != 0:
        return Lodging(directory, None)
    account = unprivileged_account()
    if directory.stat().st_uid == 0:
        directory.chmod(0o711)  # ours alone; it holds no secret itself, its private folders are 0700
    if _open_to(directory, account):
        return Lodging(directory, account)
    return Lodging(_elsewhere(directory, account), account)


def unprivileged_account() -> Account:
    """Return the account that root drops to."""
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return Account(_NOBODY_ID, _NOBODY_ID)
    return Account(entry.pw_uid, entry.pw_gid)


def _elsewhere(directory: Path, account: Account) -> Path:
    """Return a folder that stands for ``directory``, always the same one."""
    name = "wearsight-" + hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:12]
    temporary = Path(tempfile.gettempdir()).resolve()
    # What lies in a temporary folder may vanish, so only data that was meant to be temporary goes there.
    base = temporary if directory.resolve().is_relative_to(temporary) else _SYSTEM_HOME
    place = base / name
    try:
        if base == _SYSTEM_HOME:
            base.mkdir(parents=True, exist_ok=True, mode=0o755)
        place.mkdir(exist_ok=True, mode=0o711)
    except OSError as error:
        raise ServiceError(
            f"Running as root, the services drop to the user 'nobody', who cannot reach {directory}; and {place} "
            f"cannot be made instead: {error.strerror}. Name another folder with WEARSIGHT_DATA_DIR."
        ) from error
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0:
        raise ServiceError(
            f"{place} is not a folder of root's. Somebody else made it: look at it, remove it, try again."
        )
    place.chmod(0o711)
    if not _open_to(place, account):
        raise ServiceError(
            f"Running as root, the services drop to the user 'nobody', who can reach neither {directory} nor {place}. "
            "Name a folder that everybody may pass through with WEARSIGHT_DATA_DIR, or run as another user."
        )
    (directory / "lives-in").write_text(f"{place}\n")
    return place


def _open_to(path: Path, account: Account) -> bool:
    """Whether the account may pass every folder above ``path`` and pass or run ``path`` itself."""
    resolved = path.resolve()
    for step in (resolved, *resolved.parents):
        found = step.stat()
        bit = 0o100 if found.st_uid == account.uid else 0o010 if found.st_gid == account.gid else 0o001
        if not found.st_mode & bit:
            return False
    return True


def _open_for_reading(folder: Path) -> None:
    """Let everybody read a copy of ours."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or path.stat().st_mode & 0o100 else 0o444))


def _owner_of(path: Path) -> str:
    uid = path.stat().st_uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
