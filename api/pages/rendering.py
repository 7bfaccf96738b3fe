"""Jinja2 for the pages: one environment per language, the built assets' names, and what every page is given."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from api import i18n
from api.dependencies import pool_of
from api.i18n import N_
from api.identity import channel_of, permitted
from api.languages import COOKIE_NAME, QUERY_NAME, Language, preferred_language
from api.pages import asking_words, dispatch_words, life_words, times, words
from api.pages.access import MenuEntry, may, menu_of
from api.pages.general_refusals import GENERAL
from api.pages.metric_words import quantity_of, unit_of
from api.pages.saying import cell_said, said, specifics
from api.permissions import Action
from api.problems import STATUS_OF_KIND
from domain.refusals import REFUSALS, Refused
from storage import service_alarms
from storage.people import Person

log = logging.getLogger(__name__)

PACKAGE = Path(__file__).parent.parent
MANIFEST = PACKAGE / "static" / "manifest.json"
KILO = 1000
LANGUAGE_COOKIE_S = 365 * 86_400
# A page shows people's work: only the browser keeps it, and asks again before it shows it.
PAGE_HEADERS = MappingProxyType({"Cache-Control": "no-cache, private", "Vary": "Cookie, Accept-Language"})


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a page links to for one entry of web/: addresses of scripts and styles."""

    script: str | None
    styles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShownRefusal:
    """A refusal in the reader's words.

    ``expected`` and ``got`` are None where the rule's sentence cannot be said in the reader's language: ``told`` and
    the ``specifics``, its names and numbers, stand in for it, and for the remedy a general one. ``technical`` has the
    rule's own English; None for readers of English, who have it already.
    """

    name: str
    title: str
    expected: str | None
    got: str | None
    remedy: str
    told: str | None = None
    specifics: Sequence[str] = ()
    technical: Refused | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """What surrounds a page: who reads it, in which language, and which entry of the menu it belongs to.

    ``here`` is where the language switch leads back to, without its own query; ``listens`` whether live events are
    open to the reader; ``menu`` what the reader may see; ``is_troubled`` whether an alarm of the service itself stands
    that concerns the reader.
    """

    person: Person | None
    section: str
    here: str
    language: Language
    listens: bool
    menu: Sequence[MenuEntry]
    is_troubled: bool


def frame(request: Request, person: Person | None, section: str, *, here: str | None = None) -> Frame:
    """Return the frame of a page; ``here`` when the answer to a POST shows another address's page.

    Takes a connection for a moment: to be called where none is held.
    """
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != QUERY_NAME]
    address = here or (f"{request.url.path}?{urlencode(kept)}" if kept else request.url.path)
    listens = person is not None and may(person, Action.LISTEN)
    return Frame(
        person,
        section,
        address,
        preferred_language(request),
        listens,
        menu_of(person),
        _is_troubled(request, person),
    )


def page(
    request: Request,
    framed: Frame,
    template: str,
    context: Mapping[str, object],
    *,
    status: int = 200,
) -> HTMLResponse:
    """Return a page as an answer. An explicit ``?lang=`` is remembered in a cookie."""
    environment = _environment(framed.language)
    shown = {"frame": framed, "now": request.app.state.clock.now(), **context}
    response = HTMLResponse(environment.get_template(template).render(shown), status, dict(PAGE_HEADERS))
    response.headers["Content-Language"] = i18n.TAGS[framed.language]
    if request.query_params.get(QUERY_NAME):
        remember_language(request, response, framed.language)
    return response


def refused_status(refusal: Refused | None) -> int:
    """Return the status of a page that shows a refusal, 200 without one."""
    return 200 if refusal is None else STATUS_OF_KIND[REFUSALS[refusal.name].kind]


def remember_language(request: Request, response: Response, language: Language) -> None:
    """Keep the language for a year. Scripts do not need to read it."""
    response.set_cookie(
        COOKIE_NAME,
        language.value,
        max_age=LANGUAGE_COOKIE_S,
        httponly=True,
        samesite="lax",
        secure=request.app.state.secure_cookie,
    )


def shown(refusal: Refused, language: Language) -> ShownRefusal:
    """Return a refusal for a page."""
    meant = REFUSALS[refusal.name]
    if language is Language.EN:
        return ShownRefusal(refusal.name, meant.title_en, refusal.expected, refusal.got, refusal.remedy)
    expected, got, remedy = (said(one, language) for one in (refusal.expected, refusal.got, refusal.remedy))
    general, gettext = GENERAL[refusal.name], i18n.catalogue(language).gettext
    unsaid = " ".join(one for one, done in ((refusal.expected, expected), (refusal.got, got)) if done is None)
    return ShownRefusal(
        refusal.name,
        meant.title_zh,
        expected,
        got,
        remedy or gettext(general.remedy),
        gettext(general.told) if unsaid else None,
        specifics(unsaid),
        refusal,
    )


@cache
def bundle(entry: str) -> Bundle:
    """Return the addresses of one entry, "console" or "chart", from the manifest of the build.

    Without a build the pages still work, plain: nothing is linked, and the log says so once.
    """
    if not MANIFEST.is_file():
        log.warning("The console's scripts and styles are not built; install the package ('pip install -e .').")
        return Bundle(None, ())
    manifest = json.loads(MANIFEST.read_text(encoding="utf-8"))
    found = manifest[f"src/{entry}.ts"]
    return Bundle(f"/static/{found['file']}", tuple(f"/static/{name}" for name in found.get("css", ())))


@cache
def _environment(language: Language) -> Environment:
    catalogue = i18n.catalogue(language)
    environment = Environment(
        loader=FileSystemLoader(PACKAGE / "templates"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_callables(  # type: ignore[attr-defined]  # added by the extension
        catalogue.gettext, lambda one, many, count: catalogue.gettext(one if count == 1 else many), newstyle=True
    )
    environment.policies["ext.i18n.trimmed"] = True
    environment.globals.update(
        bundle=bundle,
        words=words,
        asking_words=asking_words,
        dispatch_words=dispatch_words,
        life_words=life_words,
        languages=[(one, i18n.TAGS[one], i18n.OWN_NAMES[one]) for one in Language],
        tag=i18n.TAGS[language],
        script_words=json.dumps(dict(catalogue.script_words), ensure_ascii=False),
        is_chinese=language is Language.ZH,
        query=_query,
    )
    environment.filters.update(
        site_time=times.site_time,
        ms=times.milliseconds,
        to_input=times.to_input,
        number=_number,
        words=lambda text: text.replace("_", " "),
        visible=_visible,
        urlencode=urlencode,
        quantity=lambda one: quantity_of(one.metric, catalogue.gettext),
        metric_words=lambda metric: quantity_of(metric, catalogue.gettext),
        unit=lambda one: unit_of(one.metric, one.unit),
        left=lambda due, now: int((due - now).total_seconds()),
        reason=lambda code: catalogue.gettext(words.REASONS.get(code, _visible(code.replace("_", " ")))),
        trouble=lambda one: _told(one, catalogue),
        said=lambda sentence: said(sentence, language),
        specifics=specifics,
        cell=lambda got: cell_said(got, language),
        size=_size,
        fact=_fact,
        interval=lambda seconds: _interval(seconds, catalogue),
        in_words=lambda seconds: _in_words(seconds, catalogue),
        in_hours=lambda seconds: _in_words(seconds, catalogue, in_days=False),
    )
    return environment


def _in_words(seconds: float, catalogue: i18n.Catalogue, *, in_days: bool = True) -> str:
    message, values = times.duration(seconds, in_days=in_days)
    return catalogue.gettext(message).format_map(values)


def _interval(seconds: float, catalogue: i18n.Catalogue) -> str:
    """Write the time between two messages; many a device sends several a second."""
    if seconds >= times.MINUTE_S:
        return _in_words(seconds, catalogue)
    return catalogue.gettext(N_("{seconds} s")).format(seconds=f"{seconds:.3g}")


def _fact(value: object) -> str:
    """Write a value that the audit kept: what has parts, as settings do, as the JSON that people typed."""
    if value is None:
        return "–"
    return _visible(json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value))


class _Figures(dict[str, object]):
    """What is known of a trouble; an old alarm may know less than its sentence asks for."""

    def __missing__(self, name: str) -> str:
        return "–"


def _told(trouble: service_alarms.Trouble | service_alarms.ServiceAlarm, catalogue: i18n.Catalogue) -> str:
    """Say a trouble in words; one of a kind nobody has words for, by its name."""
    found = words.TROUBLES.get(trouble.kind)
    if found is None:
        return f"{trouble.kind}: {_visible(trouble.subject)}"
    figures = _Figures({**trouble.detail, "subject": _subject(trouble, catalogue)})
    return catalogue.gettext(found.told).format_map(figures)


def _subject(trouble: service_alarms.Trouble | service_alarms.ServiceAlarm, catalogue: i18n.Catalogue) -> str:
    if trouble.subject in words.REASONS:
        return catalogue.gettext(words.REASONS[trouble.subject])
    return _visible(trouble.subject)


def _is_troubled(request: Request, person: Person | None) -> bool:
    if person is None or not may(person, Action.READ_HEALTH):
        return False
    sites = permitted(person, Action.READ_HEALTH, channel_of(request)).site_list()
    with pool_of(request).connection() as connection:
        return bool(service_alarms.page(connection, sites=sites, open_only=True, limit=1))


def _visible(text: str) -> str:
    """Write characters that show nothing, or turn the text around, as their codes: names come from the network."""
    return "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in text)


def _number(value: float) -> str:
    """Write a measured value with five significant digits and no exponent for everyday sizes."""
    return f"{value:.5g}" if abs(value) < 1e5 else f"{value:,.0f}"


def _size(count: int) -> str:
    """Write a number of bytes as people read sizes of disks."""
    size, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < KILO:
            break
        size, unit = size / KILO, larger
    return f"{size:.3g} {unit}"


def _query(address: str, name: str, value: str) -> str:
    """Return the address with one more parameter."""
    return f"{address}{'&' if '?' in address else '?'}{urlencode({name: value})}"
