-- name: schedules
-- A page of schedules at some sites, newest first.
select
  s.id, s.asset_id, a.tag as asset_tag, a.site_id, s.title_en, s.title_zh, s.description, s.team_id, s.checklist,
  s.unit, s.every, s.first_on, s.lead_days, s.next_number, s.series_id, s.every_amount, s.counted, s.last_value,
  s.last_at, s.low_value, s.missed, s.created_at, s.looked_at, s.ended_at, s.version,
  (select t.code from ticket t where t.schedule_id = s.id and t.state <> 'closed') as open_code
from schedule s
join asset a on a.id = s.asset_id
where (%(id)s::bigint is null or s.id = %(id)s::bigint)
  and (%(asset_id)s::bigint is null or s.asset_id = %(asset_id)s::bigint)
  and (%(sites)s::text[] is null or a.site_id = any (%(sites)s::text[]))
  and (%(with_ended)s::boolean or s.ended_at is null)
  and (%(before)s::bigint is null or s.id < %(before)s::bigint)
order by s.id desc
limit %(limit)s

-- name: insert_schedule
-- Adds a schedule; it is looked at at once.
insert into schedule (
  asset_id, title_en, title_zh, description, team_id, checklist, unit, every, first_on, lead_days, next_number,
  series_id, every_amount, counted, created_at, created_by
)
values (
  %(asset_id)s, %(title_en)s, %(title_zh)s, %(description)s, %(team_id)s, %(checklist)s, %(unit)s, %(every)s,
  %(first_on)s, %(lead_days)s, %(next_number)s, %(series_id)s, %(every_amount)s, %(counted)s, %(now)s, %(person_id)s
)
returning id

-- name: update_schedule
-- Changes what a schedule's work is, if it is still the version that was read; when it comes round stays.
update schedule
set
  title_en = %(title_en)s,
  title_zh = %(title_zh)s,
  description = %(description)s,
  team_id = %(team_id)s,
  checklist = %(checklist)s,
  version = version + 1
where id = %(id)s
  and version = %(version)s
  and ended_at is null
returning id

-- name: end_schedule
-- Ends a schedule: it opens nothing any more.
update schedule
set
  ended_at = %(now)s,
  version = version + 1
where id = %(id)s
  and ended_at is null
returning id

-- name: date_at_asset
-- The date at the site of an asset.
select (%(now)s::timestamptz at time zone c.time_zone)::date
from asset a
join site s on s.id = a.site_id
join calendar c on c.id = s.calendar_id
where a.id = %(asset_id)s

-- name: is_series_of_asset
-- Tells whether a series belongs to an asset.
select exists (
  select
  from series
  join device on device.id = series.device_id
  where series.id = %(series_id)s
    and device.asset_id = %(asset_id)s
)

-- name: is_team_of_asset
-- Tells whether a team works at the site of an asset.
select exists (
  select
  from team
  join asset on team.site_id is null or team.site_id = asset.site_id
  where team.id = %(team_id)s
    and asset.id = %(asset_id)s
)

-- name: claim_next
-- Takes the schedule that was looked at longest ago, passing over those that others are at.
select
  s.id, s.asset_id, s.title_en, s.title_zh, s.description, s.team_id, s.checklist, s.unit, s.every, s.first_on,
  s.lead_days, s.next_number, s.series_id, s.every_amount, s.counted, s.last_value, s.last_at, s.low_value,
  place.calendar_id, place.id as site_id,
  exists (select from ticket t where t.schedule_id = s.id and t.state <> 'closed') as is_under_way
from schedule s
join asset a on a.id = s.asset_id
join site place on place.id = a.site_id
where s.ended_at is null
  and a.status = 'in_service'
  and (s.looked_at is null or s.looked_at <= %(looked_before)s)
order by s.looked_at nulls first, s.id
limit 1
for update of s skip locked

-- name: readings_since
-- The readings of a meter after a time, in their order, so many at most.
select ts, value
from reading
where series_id = %(series_id)s
  and ts > %(after)s
order by ts
limit %(limit)s

-- name: newest_reading
-- The newest reading of a meter.
select ts, value
from reading
where series_id = %(series_id)s
order by ts desc
limit 1

-- name: save_look
-- Saves how far a schedule has come.
update schedule
set
  looked_at = %(now)s,
  next_number = %(next_number)s,
  counted = %(counted)s,
  last_value = %(last_value)s,
  last_at = %(last_at)s,
  low_value = %(low_value)s,
  missed = missed + %(missed)s
where id = %(id)s
