-- name: articles
-- A page of articles that are not retired, newest first.
select
  a.id, a.title_en, a.title_zh, a.body_en, a.body_zh, a.asset_type_id, m.code as failure_mode, a.created_at,
  a.changed_at, a.retired_at, a.version
from article a
left join failure_mode m on m.id = a.failure_mode_id
where (%(id)s::bigint is null or a.id = %(id)s::bigint)
  and (%(id)s::bigint is not null or a.retired_at is null)
  and (%(asset_type_id)s::text is null or a.asset_type_id = %(asset_type_id)s::text)
  and (%(before)s::bigint is null or a.id < %(before)s::bigint)
order by a.id desc
limit %(limit)s

-- name: insert_article
-- Adds an article.
insert into article (
  title_en, title_zh, body_en, body_zh, asset_type_id, failure_mode_id, created_at, created_by, changed_at
)
values (
  %(title_en)s, %(title_zh)s, %(body_en)s, %(body_zh)s, %(asset_type_id)s, %(failure_mode_id)s, %(now)s, %(person_id)s,
  %(now)s
)
returning id

-- name: update_article
-- Changes an article, if it is still the version that was read.
update article
set
  title_en = %(title_en)s,
  title_zh = %(title_zh)s,
  body_en = %(body_en)s,
  body_zh = %(body_zh)s,
  asset_type_id = %(asset_type_id)s,
  failure_mode_id = %(failure_mode_id)s,
  changed_at = %(now)s,
  version = version + 1
where id = %(id)s
  and version = %(version)s
  and retired_at is null
returning id

-- name: retire_article
-- Takes an article out of use; tickets that showed it keep its title.
update article
set
  retired_at = %(now)s,
  changed_at = %(now)s,
  version = version + 1
where id = %(id)s
  and retired_at is null
returning id

-- name: forget_words
-- Takes the words of an article out of the index.
delete from article_word
where article_id = %(id)s

-- name: index_words
-- Puts the words of an article into the index.
insert into article_word (word, article_id, weight)
select word, %(id)s, weight
from unnest(%(words)s::text[], %(weights)s::real[]) as told (word, weight)

-- name: find_articles
-- The best articles for some words: rare words count more, and one about the failure mode counts in any case.
with live as (
  select id, title_en, title_zh, failure_mode_id
  from article
  where retired_at is null
    and (asset_type_id is null or %(asset_type_id)s::text is null or asset_type_id = %(asset_type_id)s::text)
),
hits as (
  select
    w.article_id,
    w.weight * ln(1 + (select count(*) from live)::double precision / count(*) over (partition by w.word)) as points
  from article_word w
  join live on live.id = w.article_id
  where w.word = any (%(words)s::text[])
),
scored as (
  select
    live.id, live.title_en, live.title_zh,
    coalesce((select sum(points) from hits where hits.article_id = live.id), 0)
      + case when live.failure_mode_id = %(failure_mode_id)s::bigint then %(mode_points)s::double precision else 0 end
      as score
  from live
)
select id, title_en, title_zh, score
from scored
where score > 0
order by score desc, id desc
limit %(limit)s

-- name: mode_of_code
-- Returns the failure mode of a code and an asset type.
select id
from failure_mode
where asset_type_id = %(asset_type_id)s
  and code = %(code)s
