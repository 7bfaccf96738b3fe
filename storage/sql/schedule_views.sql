-- name: last_tickets
-- The newest ticket that each of some schedules has opened, found among those of its asset.
select found.schedule_id, found.code, found.title_en, found.title_zh, found.state, found.outcome, found.opened_at,
  found.due_on
from schedule s
cross join lateral (
  select t.schedule_id, t.code, t.title_en, t.title_zh, t.state, t.outcome, t.opened_at, t.due_on
  from ticket t
  where t.asset_id = s.asset_id
    and t.schedule_id = s.id
  order by t.opened_at desc, t.id desc
  limit 1
) found
where s.id = any (%(schedule_ids)s::bigint[])

-- name: calendars_of_sites
-- The calendar of each of some sites.
select id, calendar_id
from site
where id = any (%(site_ids)s::text[])
