"""Knowledge: articles in two languages, found by words in either (SPEC T10)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.boundary import BASE_PATH
from api.dependencies import ChangeArticles, Database, Now, ReadArticles
from api.intake_schemas import ArticleBody, Articles, ChangedArticle, FoundArticles
from api.routes.answers import CHANGE_ANSWERS, RECORD_ANSWERS, SIGNED_IN_ANSWERS
from api.routes.paging import LIMIT_DEFAULT, Cursor, Limit, cut
from api.schemas import Key
from storage import articles
from storage.articles import Article, ArticleText

router = APIRouter(prefix=BASE_PATH, tags=["articles"])


@router.get("/articles", responses=SIGNED_IN_ANSWERS)
def list_articles(
    caller: ReadArticles,
    database: Database,
    asset_type: Annotated[str | None, Query(max_length=64)] = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Articles:
    """Return articles in use, newest first."""
    with database.connection() as connection:
        rows = articles.list_articles(connection, asset_type_id=asset_type, before=cursor, limit=limit + 1)
    page, next_cursor = cut(rows, limit, lambda article: article.id)
    return Articles(items=page, next_cursor=next_cursor)


@router.get("/articles/search", responses=SIGNED_IN_ANSWERS)
def search_articles(
    caller: ReadArticles,
    database: Database,
    text: Annotated[str, Query(min_length=1, max_length=400, description="Words in Chinese or English")],
    asset_type: Annotated[str | None, Query(max_length=64)] = None,
    limit: Limit = LIMIT_DEFAULT,
) -> FoundArticles:
    """Return the articles that fit some words, the best first."""
    with database.connection() as connection:
        found = articles.find_articles(connection, text, asset_type_id=asset_type, limit=limit)
    return FoundArticles(items=found, next_cursor=None)


@router.post("/articles", status_code=201, responses=CHANGE_ANSWERS)
def add_article(caller: ChangeArticles, body: ArticleBody, database: Database, now: Now) -> Article:
    """Add an article."""
    with database.connection() as connection:
        article_id = articles.add_article(connection, _text(body), person_id=caller.person.id, now=now)
        return articles.read_article(connection, article_id)


@router.get("/articles/{article_id}", responses=RECORD_ANSWERS)
def read_article(article_id: Key, caller: ReadArticles, database: Database) -> Article:
    """Return an article, also one that is out of use."""
    with database.connection() as connection:
        return articles.read_article(connection, article_id)


@router.put("/articles/{article_id}", responses=CHANGE_ANSWERS)
def change_article(
    article_id: Key, caller: ChangeArticles, body: ChangedArticle, database: Database, now: Now
) -> Article:
    """Change an article, if it is still the version that was read."""
    with database.connection() as connection:
        articles.change_article(connection, article_id, _text(body), version=body.version, now=now)
        return articles.read_article(connection, article_id)


@router.delete("/articles/{article_id}", status_code=204, responses=CHANGE_ANSWERS)
def retire_article(article_id: Key, caller: ChangeArticles, database: Database, now: Now) -> None:
    """Take an article out of use."""
    with database.connection() as connection:
        articles.retire_article(connection, article_id, now)


def _text(body: ArticleBody) -> ArticleText:
    return ArticleText(
        title_en=body.title_en,
        title_zh=body.title_zh or body.title_en,
        body_en=body.body_en,
        body_zh=body.body_zh,
        asset_type_id=body.asset_type,
        failure_mode=body.failure_mode,
    )
