-- name: read_calendar
-- Returns the zone of a calendar.
select time_zone
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
