-- Critical windows: when a fault at a site weighs more.

-- name: windows_of_scope
-- The windows that may count for assets of a type at a site.
select name, factor, starts_at, ends_at, weekdays, starts_s, ends_s
from critical_window
where site_id = %(site_id)s
  and (asset_type_id is null or asset_type_id = %(asset_type_id)s)
  and retired_at is null
order by id

-- name: list_windows
-- The windows of some sites, or of every site, from an id on.
select
  w.id, w.site_id, w.asset_type_id, w.name, w.factor, w.starts_at, w.ends_at, w.weekdays, w.starts_s, w.ends_s,
  w.version, c.time_zone
from critical_window w
join site s on s.id = w.site_id
join calendar c on c.id = s.calendar_id
where w.retired_at is null
  and (%(sites)s::text[] is null or w.site_id = any (%(sites)s::text[]))
  and w.id > %(after)s
order by w.id
limit %(limit)s

-- name: read_window
-- One window that is not retired.
select
  w.id, w.site_id, w.asset_type_id, w.name, w.factor, w.starts_at, w.ends_at, w.weekdays, w.starts_s, w.ends_s,
  w.version, c.time_zone
from critical_window w
join site s on s.id = w.site_id
join calendar c on c.id = s.calendar_id
where w.id = %(id)s
  and w.retired_at is null

-- name: insert_window
-- Adds a window; open tickets have not been scored with it.
insert into critical_window (
  site_id, asset_type_id, name, factor, starts_at, ends_at, weekdays, starts_s, ends_s, created_at, created_by
)
values (
  %(site_id)s, %(asset_type_id)s, %(name)s, %(factor)s, %(starts_at)s, %(ends_at)s, %(weekdays)s, %(starts_s)s,
  %(ends_s)s, %(now)s, %(person_id)s
)
returning id

-- name: update_window
-- Changes a window if it is still the version that was read; open tickets have not been scored with it as it is now.
update critical_window
set
  asset_type_id = %(asset_type_id)s,
  name = %(name)s,
  factor = %(factor)s,
  starts_at = %(starts_at)s,
  ends_at = %(ends_at)s,
  weekdays = %(weekdays)s,
  starts_s = %(starts_s)s,
  ends_s = %(ends_s)s,
  seen_open = null,
  version = version + 1
where id = %(id)s
  and version = %(version)s
  and retired_at is null
returning id

-- name: retire_window
-- Ends a window for good; tickets that were scored with it are scored again.
update critical_window
set
  retired_at = %(now)s,
  version = version + 1
where id = %(id)s
  and version = %(version)s
  and retired_at is null
returning id

-- name: windows_to_see
-- Every window that is not retired, or was open to the tickets of its scope when it was.
select
  w.id, w.site_id, w.asset_type_id, w.starts_at, w.ends_at, w.weekdays, w.starts_s, w.ends_s, w.version,
  w.retired_at is not null as is_retired, w.seen_open, c.time_zone
from critical_window w
join site s on s.id = w.site_id
join calendar c on c.id = s.calendar_id
where w.retired_at is null
  or w.seen_open is not false
order by w.id

-- name: tickets_of_scope
-- The open tickets of a site and, where one is named, of an asset type.
select t.code
from ticket t
join asset a on a.id = t.asset_id
where t.site_id = %(site_id)s
  and (%(asset_type_id)s::text is null or a.asset_type_id = %(asset_type_id)s::text)
  and t.state <> 'closed'
  and (t.priority_at is null or t.priority_at < %(now)s)
order by t.priority, t.code
limit %(limit)s

-- name: mark_seen
-- Notes that the open tickets of its scope were scored with a window as it is now.
update critical_window
set seen_open = %(is_open)s
where id = %(id)s
  and version = %(version)s
