"""The confirmation link on its way from the engineer's screen to the requester: as an address and as a QR code.

The secret exists only in the answer that made it. It travels to the page that follows in a cookie that is sent to
that ticket's page alone, is unreadable to scripts and lasts minutes, so that it stands in no address but its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import segno
from fastapi import Request
from fastapi.responses import Response

COOKIE = "wearsight_link"
LASTS_S = 900


@dataclass(frozen=True, slots=True)
class ShownLink:
    """What to show: the address, and the same as an SVG image to put into the page."""

    address: str
    image: str


def hand_over(request: Request, response: Response, code: str, secret: str) -> None:
    """Give the secret to the page of ticket ``code``."""
    response.set_cookie(
        COOKIE,
        secret,
        max_age=LASTS_S,
        path=f"/tickets/{code}",
        httponly=True,
        samesite="strict",
        secure=request.app.state.secure_cookie,
    )


def handed_over(request: Request) -> ShownLink | None:
    """Return the link that this browser was given for the page, or None."""
    secret = request.cookies.get(COOKIE)
    if not secret or not secret.replace("-", "").replace("_", "").isalnum() or len(secret) > 128:
        return None
    address = str(request.base_url.replace(path=f"/c/{secret}", query=""))
    code = segno.make(address, error="m", micro=False)
    # Attributes only, no style, as the content security policy asks.
    return ShownLink(address, code.svg_inline(omitsize=True, border=2, svgclass="qr", lineclass=None))
