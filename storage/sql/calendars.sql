-- name: lock_calendar
-- Returns zone and version of a calendar, which cannot change before the transaction ends: clocks are planned on it.
select time_zone, version
from calendar
where id = %(id)s
for share

-- name: calendar_version
-- Returns zone and version of a calendar as they are now.
select time_zone, version
from calendar
where id = %(id)s

-- name: calendar_segments
-- Returns the working time of each weekday in seconds after local midnight (24:00 is 86400).
select weekday, extract(epoch from starts)::integer, extract(epoch from ends)::integer
from calendar_segment
where calendar_id = %(id)s
order by weekday, starts

-- name: calendar_days
-- Returns the days that differ from their weekday.
select day, working
from calendar_day
where calendar_id = %(id)s

-- name: calendar_history
-- Returns what a calendar was from a version on, and until when it was so, oldest first.
select body, overtaken_at
from calendar_before
where calendar_id = %(id)s
  and version >= %(version)s
order by version

-- name: calendar_of_ticket
-- Returns the calendar that a ticket of a site runs on: its requester's own, where that counts, or the site's.
select coalesce(person.calendar_id, site.calendar_id)
from site
left join person on person.id = %(requester_id)s::bigint
  and %(of_requester)s
where site.id = %(site_id)s

-- name: calendars
-- Returns a page of calendars, with the sites that keep each.
select
  c.id, c.name, c.time_zone, c.country, c.subdivision, c.official_until, c.version,
  array(select s.id from site s where s.calendar_id = c.id order by s.id) as sites
from calendar c
where c.id > %(after)s
order by c.id
limit %(limit)s

-- name: calendar_row
-- Returns one calendar, with the sites that keep it.
select
  c.id, c.name, c.time_zone, c.country, c.subdivision, c.official_until, c.version,
  array(select s.id from site s where s.calendar_id = c.id order by s.id) as sites
from calendar c
where c.id = %(id)s

-- name: hold_calendar
-- Locks a calendar that is about to change: nobody plans a clock on it meanwhile.
select id
from calendar
where id = %(id)s
for no key update

-- name: days_between
-- Returns the special days of a calendar in a stretch of time.
select day, working, name, source
from calendar_day
where calendar_id = %(id)s
  and day between %(first)s and %(last)s
order by day

-- name: insert_calendar
-- Adds a calendar; nothing when the id is taken.
insert into calendar (id, name, time_zone, country, subdivision)
values (%(id)s, %(name)s, %(time_zone)s, %(country)s, %(subdivision)s)
on conflict (id) do nothing
returning id

-- name: remember_calendar
-- Keeps a calendar as it is under the version it has, before it changes.
insert into calendar_before (calendar_id, version, body, overtaken_at)
values (%(id)s, %(version)s, %(body)s, %(now)s)

-- name: update_calendar
-- Changes a calendar into its next version.
update calendar
set
  name = %(name)s,
  time_zone = %(time_zone)s,
  country = %(country)s,
  subdivision = %(subdivision)s,
  version = version + 1
where id = %(id)s

-- name: clear_segments
-- Takes the working time of a calendar away, to be written anew.
delete from calendar_segment
where calendar_id = %(id)s

-- name: insert_segments
-- Writes the working time of a calendar.
insert into calendar_segment (calendar_id, weekday, starts, ends)
select %(id)s, weekday, starts, ends
from unnest(%(weekdays)s::smallint[], %(starts)s::time[], %(ends)s::time[]) as segment (weekday, starts, ends)

-- name: enter_day
-- Enters a day that differs from its weekday, in place of what stands there.
insert into calendar_day (calendar_id, day, working, name, source)
values (%(id)s, %(day)s, %(working)s, %(name)s, 'entered')
on conflict (calendar_id, day) do update
set
  working = excluded.working,
  name = excluded.name,
  source = excluded.source

-- name: remove_day
-- Takes a special day away; says whether there was one.
delete from calendar_day
where calendar_id = %(id)s
  and day = %(day)s
returning day

-- name: clear_official_days
-- Takes official days away that are no longer so.
delete from calendar_day
where calendar_id = %(id)s
  and source = 'official'
  and day = any(%(days)s::date[])

-- name: insert_official_days
-- Adds official days; a day that somebody entered stays as it is.
insert into calendar_day (calendar_id, day, working, name, source)
select %(id)s, day, working, name, 'official'
from unnest(%(days)s::date[], %(working)s::boolean[], %(names)s::text[]) as entry (day, working, name)
on conflict (calendar_id, day) do update
set
  working = excluded.working,
  name = excluded.name
where calendar_day.source = 'official'

-- name: mark_official
-- Notes until when the official days of a calendar are known.
update calendar
set official_until = %(until)s
where id = %(id)s
  and official_until is distinct from %(until)s

-- name: calendars_with_country
-- Returns the calendars that keep official holidays.
select id
from calendar
where country is not null
order by id

-- name: calendar_of_person
-- Returns a person's own calendar, if they have one.
select calendar_id
from person
where id = %(person_id)s

-- name: set_calendar_of_person
-- Gives a person a calendar of their own, or takes it away.
update person
set calendar_id = %(calendar_id)s
where id = %(person_id)s
