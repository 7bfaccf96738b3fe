-- name: is_stale
-- Tells whether a clock of a ticket was planned on another calendar than it has now, which cannot change meanwhile.
select exists (
  select
  from ticket_clock k
  where k.ticket_id = t.id
    and k.stopped_at is null
    and k.calendar_id is not null
    and (k.calendar_id, k.calendar_version) is distinct from (c.id, c.version)
)
from ticket t
join policy p on p.id = t.policy_id
join site s on s.id = t.site_id
left join person r on r.id = t.requester_id and p.body -> 'sla_calendar' ->> 'follows' = 'requester'
join calendar c on c.id = coalesce(r.calendar_id, s.calendar_id)
where t.code = %(code)s
  and t.state <> 'closed'
for share of c

-- name: stale_tickets
-- Returns open tickets of which a clock was planned on another calendar than it has now.
select t.code
from ticket t
join policy p on p.id = t.policy_id
join site s on s.id = t.site_id
left join person r on r.id = t.requester_id and p.body -> 'sla_calendar' ->> 'follows' = 'requester'
join calendar c on c.id = coalesce(r.calendar_id, s.calendar_id)
where t.state <> 'closed'
  and exists (
    select
    from ticket_clock k
    where k.ticket_id = t.id
      and k.stopped_at is null
      and k.calendar_id is not null
      and (k.calendar_id, k.calendar_version) is distinct from (c.id, c.version)
  )
order by t.due_at, t.id
limit %(limit)s

-- name: stale_clocks
-- Returns the running clocks of a ticket that were planned on another calendar, or another version of this one.
select clock, calendar_id, calendar_version, target_s, started_at, due_at
from ticket_clock
where ticket_id = %(ticket_id)s
  and stopped_at is null
  and calendar_id is not null
  and (calendar_id, calendar_version) is distinct from (%(calendar_id)s, %(version)s)
order by clock

-- name: mark_planned
-- Notes on which version of its calendar a clock is planned now, also where that moved nothing.
update ticket_clock
set calendar_version = %(version)s
where ticket_id = %(ticket_id)s
  and clock = any(%(clocks)s::text[])
