"""What an uploaded file is, found by looking into it: its name and its declared type prove nothing."""

from __future__ import annotations

from pathlib import PurePosixPath

from api.boundary import ATTACHMENT_BYTES_LIMIT
from domain.refusals import Refused
from storage.attachments import AttachmentKind, NewFile

_NAME_LENGTH_MAX = 120
_WEBP_LENGTH = 12
_TEXT_SUFFIXES = {".csv": "text/csv"}
_CONTROL = frozenset(range(32)) - {ord("\t"), ord("\n"), ord("\r"), ord("\f")}


def checked_file(kind: AttachmentKind, name: str | None, content: bytes) -> NewFile:
    """Return the file with its true media type; refused when too large, empty, or of a kind that is not taken.

    A photo is JPEG, PNG or WebP; an operation log is plain text or CSV in UTF-8, or PDF.
    """
    if not 0 < len(content) <= ATTACHMENT_BYTES_LIMIT:
        raise Refused(
            "request_too_large" if content else "invalid_request",
            expected=f"a file of 1 to {ATTACHMENT_BYTES_LIMIT} bytes",
            got=f"{len(content)} bytes",
            remedy="Send a smaller picture, or a part of the log." if content else "Choose a file.",
        )
    clean = _clean_name(name)
    media_type = _photo_type(content) if kind is AttachmentKind.PHOTO else _log_type(content, clean)
    if media_type is None:
        wanted = "a JPEG, PNG or WebP picture" if kind is AttachmentKind.PHOTO else "text or CSV in UTF-8, or PDF"
        raise Refused(
            "unsupported_file",
            expected=wanted,
            got=f"'{clean}', which is something else inside",
            remedy="Convert it, or send it as the other kind.",
        )
    return NewFile(kind, clean, media_type, content)


def checked_paper(name: str | None, content: bytes) -> tuple[str, str]:
    """Return a clean name and the true media type of a contract or manual: PDF, a picture, or text or CSV in UTF-8."""
    if not 0 < len(content) <= ATTACHMENT_BYTES_LIMIT:
        raise Refused(
            "request_too_large" if content else "invalid_request",
            expected=f"a file of 1 to {ATTACHMENT_BYTES_LIMIT} bytes",
            got=f"{len(content)} bytes",
            remedy="Send a smaller scan, or a part of it." if content else "Choose a file.",
        )
    clean = _clean_name(name)
    media_type = _photo_type(content) or _log_type(content, clean)
    if media_type is None:
        raise Refused(
            "unsupported_file",
            expected="PDF, a JPEG, PNG or WebP picture, or text or CSV in UTF-8",
            got=f"'{clean}', which is something else inside",
            remedy="Save it as PDF.",
        )
    return clean, media_type


def _photo_type(content: bytes) -> str | None:
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content[:4] == b"RIFF" and content[8:_WEBP_LENGTH] == b"WEBP":
        return "image/webp"
    return None


def _log_type(content: bytes, name: str) -> str | None:
    if content.startswith(b"%PDF-"):
        return "application/pdf"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if _CONTROL.intersection(content):
        return None
    return _TEXT_SUFFIXES.get(PurePosixPath(name).suffix.lower(), "text/plain")


def _clean_name(name: str | None) -> str:
    """Keep the last part of a name, printable and short: it is shown to people and goes into a header."""
    last = PurePosixPath((name or "").replace("\\", "/")).name
    printable = "".join(letter for letter in last if letter.isprintable() and letter not in "\"'<>;%")
    encodable = printable.encode("utf-8", "replace").decode("utf-8")
    return encodable[-_NAME_LENGTH_MAX:].strip() or "file"
