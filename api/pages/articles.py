"""Knowledge: articles in two languages, found by words in either, written and changed by who leads (T10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.datastructures import FormData

from api.dependencies import ChangeArticles, Database, Now, ReadArticles
from api.identity import Caller
from api.intake_schemas import ArticleBody, ChangedArticle
from api.languages import Language
from api.pages.access import may
from api.pages.forms import PostedForm, body_of, text
from api.pages.rendering import frame, page, refused_status, shown
from api.pages.times import common_zone
from api.permissions import Action
from api.routes import articles as routes
from api.schemas import Key
from domain.refusals import Refused
from storage import articles, assets, console
from storage.articles import Article
from storage.assets import AssetType
from storage.console import ModeName

router = APIRouter()

LIST_MAX = 50
FOUND_MAX = 20
KEY_MAX = 2**63 - 1
TEXT_MAX = 400
BODY_MAX = 60_000


@dataclass(frozen=True, slots=True)
class TypedArticle:
    """The form as it is filled in; ``about`` is an asset type, or one of its failure modes as "type/mode"."""

    title_en: str = ""
    title_zh: str = ""
    body_en: str = ""
    body_zh: str = ""
    about: str = ""

    @classmethod
    def of_posted(cls, form: FormData) -> TypedArticle:
        """Return the form as it was posted."""
        return cls(**{name: text(form, name).replace("\r\n", "\n")[:BODY_MAX] for name in cls.__slots__})

    @classmethod
    def of_stored(cls, article: Article) -> TypedArticle:
        """Return the form that says what the article says."""
        about = "/".join(filter(None, (article.asset_type_id, article.failure_mode)))
        return cls(article.title_en, article.title_zh, article.body_en, article.body_zh, about)

    def body(self) -> dict[str, object]:
        """Return it as the API takes it; a title in Chinese alone stands for both."""
        asset_type, _, mode = self.about.partition("/")
        return {
            "title_en": self.title_en or self.title_zh,
            "title_zh": self.title_zh or None,
            "body_en": self.body_en,
            "body_zh": self.body_zh,
            "asset_type": asset_type or None,
            "failure_mode": mode or None,
        }


@router.get("/articles")
def list_articles(
    request: Request,
    caller: ReadArticles,
    database: Database,
    text: Annotated[str, Query(max_length=TEXT_MAX)] = "",
    asset_type: Annotated[str, Query(max_length=64)] = "",
    before: Annotated[int | None, Query(ge=1, le=KEY_MAX)] = None,
) -> HTMLResponse:
    """Show the articles that fit some words, the best first; without words all that are in use."""
    wanted, kind = text.strip().replace("\0", ""), asset_type.replace("\0", "") or None
    with database.connection() as connection:
        found = articles.find_articles(connection, wanted, asset_type_id=kind, limit=FOUND_MAX) if wanted else []
        rows = (
            [articles.read_article(connection, one.id) for one in found]
            if wanted
            else articles.list_articles(connection, asset_type_id=kind, before=before, limit=LIST_MAX + 1)
        )
        types = assets.list_asset_types(connection)
        zone = common_zone(console.site_zones(connection))
    framed = frame(request, caller.person, "articles")
    last = rows[LIST_MAX - 1].id if len(rows) > LIST_MAX else None
    more = {"before": last, "asset_type": kind}
    context = {
        "articles": rows[:LIST_MAX],
        "text": wanted,
        "asset_type": kind or "",
        "types": types,
        "names": _names(types, framed.language),
        "zone": zone,
        "more": "/articles?" + urlencode({name: one for name, one in more.items() if one}) if last else None,
        "may_change": may(caller.person, Action.CHANGE_ARTICLES),
    }
    return page(request, framed, "articles.html", context)


@router.get("/articles/new")
def start(request: Request, caller: ReadArticles, database: Database) -> Response:
    """Ask for a new article; who may write none is shown those that there are."""
    if not may(caller.person, Action.CHANGE_ARTICLES):
        return RedirectResponse("/articles", status_code=303)
    return _article_page(request, caller, database, None, typed=TypedArticle())


@router.post("/articles/new")
def add(form: PostedForm, request: Request, caller: ChangeArticles, database: Database, now: Now) -> Response:
    """Add the article."""
    typed = TypedArticle.of_posted(form)
    try:
        made = routes.add_article(caller, body_of(ArticleBody, typed.body()), database, now)
    except Refused as refusal:
        return _article_page(request, caller, database, None, typed=typed, refusal=refusal)
    return RedirectResponse(f"/articles/{made.id}", status_code=303)


@router.get("/articles/{article_id}")
def show_article(article_id: Key, request: Request, caller: ReadArticles, database: Database) -> HTMLResponse:
    """Show one article, also one that is out of use."""
    return _article_page(request, caller, database, routes.read_article(article_id, caller, database))


@router.post("/articles/{article_id}")
def change(
    article_id: Key, form: PostedForm, request: Request, caller: ChangeArticles, database: Database, now: Now
) -> Response:
    """Change an article, if it is still the version that the form was made for."""
    known = routes.read_article(article_id, caller, database)
    typed = TypedArticle.of_posted(form)
    try:
        body = body_of(ChangedArticle, {**typed.body(), "version": text(form, "version")})
        routes.change_article(article_id, caller, body, database, now)
    except Refused as refusal:
        return _article_page(request, caller, database, known, typed=typed, refusal=refusal)
    return RedirectResponse(f"/articles/{article_id}", status_code=303)


@router.post("/articles/{article_id}/retire")
def retire(article_id: Key, caller: ChangeArticles, database: Database, now: Now) -> Response:
    """Take an article out of use, and go back to the others."""
    routes.retire_article(article_id, caller, database, now)
    return RedirectResponse("/articles", status_code=303)


def _article_page(
    request: Request,
    caller: Caller,
    database: Database,
    article: Article | None,
    *,
    typed: TypedArticle | None = None,
    refusal: Refused | None = None,
) -> HTMLResponse:
    here = "/articles/new" if article is None else f"/articles/{article.id}"
    framed = frame(request, caller.person, "articles", here=here)
    may_change = may(caller.person, Action.CHANGE_ARTICLES) and (article is None or article.retired_at is None)
    with database.connection() as connection:
        types = assets.list_asset_types(connection)
        modes = {one.id: _modes(console.mode_names(connection, one.id)) for one in types}
        zone = common_zone(console.site_zones(connection))
    names = _names(types, framed.language)
    context = {
        "article": article,
        "address": here,
        "typed": typed or (TypedArticle() if article is None else TypedArticle.of_stored(article)),
        "is_typed": typed is not None,
        "types": types,
        "names": names,
        "modes": modes,
        "zone": zone,
        "sees_modes": may(caller.person, Action.READ_DETECTION),
        "may_change": may_change,
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
    }
    return page(request, framed, "article.html", context, status=refused_status(refusal))


def _names(types: list[AssetType], language: Language) -> dict[str, str]:
    return {one.id: one.name_zh if language is Language.ZH else one.name_en for one in types}


def _modes(found: list[ModeName]) -> list[ModeName]:
    return [one for one in found if not one.is_retired]
