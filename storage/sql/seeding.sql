-- name: insert_calendar
-- Add a calendar once; 1 row when it is new.
insert into calendar (id, name, time_zone, country)
values (%(id)s, %(name)s, %(time_zone)s, %(country)s)
on conflict (id) do nothing
returning id

-- name: insert_calendar_segments
-- Add the stretches of working time of a new calendar.
insert into calendar_segment (calendar_id, weekday, starts, ends)
select %(id)s, weekday, starts, ends
from unnest(%(weekdays)s::smallint[], %(starts)s::time[], %(ends)s::time[]) as segment (weekday, starts, ends)

-- name: insert_site
-- Add a site once.
insert into site (id, name, calendar_id, latitude, longitude)
values (%(id)s, %(name)s, %(calendar_id)s, %(latitude)s, %(longitude)s)
on conflict (id) do nothing

-- name: logins
-- The logins that are taken, to add only the people who are missing.
select login
from person
where login = any (%(logins)s)

-- name: passwordless_admin
-- The first administrator, locked, while nobody has given the account a password.
select id
from person
where login = %(login)s and password_hash is null
for update
