"""Knowledge: articles in two languages, found by words in either (SPEC T10, B2)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import class_row

from domain.refusals import Refused
from storage.queries import load
from ticketing.likeness import tokens, words_of_article

QUERIES = load("articles")

# An article about the ticket's failure mode comes before those that only share a word or two.
MODE_POINTS = 5.0


@dataclass(frozen=True, slots=True)
class ArticleText:
    """What an article says. ``asset_type_id`` None: for every machine; ``failure_mode`` is a code of that type."""

    title_en: str
    title_zh: str
    body_en: str
    body_zh: str
    asset_type_id: str | None
    failure_mode: str | None


@dataclass(frozen=True, slots=True)
class Article:
    """An article of the knowledge base."""

    id: int
    title_en: str
    title_zh: str
    body_en: str
    body_zh: str
    asset_type_id: str | None
    failure_mode: str | None
    created_at: datetime
    changed_at: datetime
    retired_at: datetime | None
    version: int


@dataclass(frozen=True, slots=True)
class FoundArticle:
    """An article that fits, and how well (higher is better; no more than an order)."""

    id: int
    title_en: str
    title_zh: str
    score: float


def list_articles(
    connection: Connection,
    *,
    asset_type_id: str | None = None,
    article_id: int | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Article]:
    """Return articles in use, newest first; the one of ``article_id`` also when it is retired."""
    asked = {"id": article_id, "asset_type_id": asset_type_id, "before": before, "limit": limit}
    with connection.cursor(row_factory=class_row(Article)) as cursor:
        return cursor.execute(QUERIES["articles"], asked).fetchall()


def read_article(connection: Connection, article_id: int) -> Article:
    """Return an article; an unknown id is refused as ``unknown_record``."""
    found = list_articles(connection, article_id=article_id, limit=1)
    if not found:
        raise Refused("unknown_record", expected="an article", got=str(article_id), remedy="Look it up in the list.")
    return found[0]


def add_article(connection: Connection, text: ArticleText, *, person_id: int, now: datetime) -> int:
    """Add an article and return its id."""
    row = connection.execute(
        QUERIES["insert_article"], {**_values(connection, text), "person_id": person_id, "now": now}
    ).fetchone()
    assert row is not None
    _index(connection, row[0], text)
    return int(row[0])


def change_article(connection: Connection, article_id: int, text: ArticleText, *, version: int, now: datetime) -> None:
    """Change an article; refused as ``stale_record`` when it is no longer the version that was read."""
    current = read_article(connection, article_id)
    asked = {**_values(connection, text), "id": article_id, "version": version, "now": now}
    if connection.execute(QUERIES["update_article"], asked).fetchone() is None:
        raise Refused(
            "stale_record",
            expected=f"version {version} of article {article_id}, in use",
            got=f"version {current.version}" + (", retired" if current.retired_at else ""),
            remedy="Read it again and repeat the change.",
        )
    _index(connection, article_id, text)


def retire_article(connection: Connection, article_id: int, now: datetime) -> None:
    """Take an article out of use; one that is out already stays so."""
    read_article(connection, article_id)
    if connection.execute(QUERIES["retire_article"], {"id": article_id, "now": now}).fetchone() is not None:
        connection.execute(QUERIES["forget_words"], {"id": article_id})


def find_articles(
    connection: Connection,
    text: str,
    *,
    asset_type_id: str | None = None,
    failure_mode_id: int | None = None,
    limit: int,
) -> list[FoundArticle]:
    """Return the articles that fit a text, and those about a failure mode, the best first."""
    asked = {
        "words": sorted(set(tokens(text))),
        "asset_type_id": asset_type_id,
        "failure_mode_id": failure_mode_id,
        "mode_points": MODE_POINTS,
        "limit": limit,
    }
    with connection.cursor(row_factory=class_row(FoundArticle)) as cursor:
        return cursor.execute(QUERIES["find_articles"], asked).fetchall()


def _values(connection: Connection, text: ArticleText) -> dict[str, object]:
    values: dict[str, object] = {
        "title_en": text.title_en,
        "title_zh": text.title_zh,
        "body_en": text.body_en,
        "body_zh": text.body_zh,
        "asset_type_id": text.asset_type_id,
        "failure_mode_id": None,
    }
    if text.failure_mode is not None:
        asked = {"asset_type_id": text.asset_type_id, "code": text.failure_mode}
        row = connection.execute(QUERIES["mode_of_code"], asked).fetchone()
        if row is None:
            raise Refused(
                "invalid_request",
                expected="a failure mode of the article's asset type",
                got=repr(text.failure_mode)[:80],
                remedy="Name the asset type too, and one of its failure modes.",
            )
        values["failure_mode_id"] = row[0]
    return values


def _index(connection: Connection, article_id: int, text: ArticleText) -> None:
    words = words_of_article(f"{text.title_en} {text.title_zh}", f"{text.body_en} {text.body_zh}")
    connection.execute(QUERIES["forget_words"], {"id": article_id})
    told = {"id": article_id, "words": list(words), "weights": list(words.values())}
    connection.execute(QUERIES["index_words"], told)
