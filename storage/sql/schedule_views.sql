-- name: last_tickets
-- The newest ticket that each of some schedules has opened.
select distinct on (t.schedule_id)
  t.schedule_id, t.code, t.title_en, t.title_zh, t.state, t.outcome, t.opened_at, t.due_on
from ticket t
where t.schedule_id = any (%(schedule_ids)s::bigint[])
order by t.schedule_id, t.opened_at desc, t.id desc

-- name: calendars_of_sites
-- The calendar of each of some sites.
select id, calendar_id
from site
where id = any (%(site_ids)s::text[])
