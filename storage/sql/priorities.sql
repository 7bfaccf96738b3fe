-- Priority: what a score is made of, and what it makes of a ticket.

-- name: priority_inputs
-- What the score of a ticket is made of; the ticket is null while it is not there yet, its prediction then has the findings.
select
  m.code as failure_mode, m.name_en as failure_mode_en, m.name_zh as failure_mode_zh, m.severity,
  a.criticality, a.site_id, a.asset_type_id, c.time_zone,
  coalesce((select requester_tier from person where id = %(requester_id)s::bigint), 'standard') as tier,
  (select f.severity
   from finding f
   where f.id in (
     select tf.finding_id
     from ticket_finding tf
     where tf.ticket_id = %(ticket_id)s::uuid
     union all
     select e.reference::uuid
     from prediction_evidence e
     where e.prediction_id = %(prediction_id)s::uuid
       and e.kind = 'finding'
       and %(ticket_id)s::uuid is null
   )
   order by array_position(array['critical', 'high', 'medium', 'low'], f.severity)
   limit 1) as finding_severity,
  (select count(distinct o.asset_id)
   from asset other
   join ticket o on o.asset_id = other.id
   where other.area_id = a.area_id
     and other.id <> a.id
     and o.failure_mode_id = m.id
     and o.state <> 'closed')::integer as other_assets,
  ((select count(*)
    from ticket t
    join ticket_event e on e.ticket_id = t.id
    where t.asset_id = a.id
      and (t.closed_at is null or t.closed_at > %(since)s)
      and e.at > %(since)s
      and (e.command = 'dispute' or (e.command = 'note' and not e.effective)))
   + (select count(*)
      from ticket t
      join survey_answer s on s.ticket_id = t.id
      where t.asset_id = a.id
        and s.answered_at > %(since)s
        and s.solved
        and not s.satisfied))::integer as complaints,
  ((select count(*)
    from ticket t
    where t.asset_id = a.id
      and m.id in (t.failure_mode_id, t.found_failure_mode_id)
      and t.id is distinct from %(ticket_id)s::uuid
      and t.opened_at > %(since)s
      and t.outcome in ('repaired', 'no_fault_found', 'deferred'))
   + coalesce((select reopened_count from ticket where id = %(ticket_id)s::uuid), 0))::integer as repeats
from asset a
join site s on s.id = a.site_id
join calendar c on c.id = s.calendar_id
left join failure_mode m on m.id = %(failure_mode_id)s::bigint
where a.id = %(asset_id)s

-- name: subject_of_ticket
-- What the score of an open ticket is asked for.
select asset_id, failure_mode_id, requester_id, prediction_id, id as ticket_id, line_stopped
from ticket
where id = %(ticket_id)s

-- name: set_priority
-- Gives a ticket its priority, the arithmetic behind it and the due date that follows.
update ticket
set
  priority = %(priority)s,
  priority_reason = %(reason)s,
  priority_override = %(override)s,
  priority_at = %(now)s,
  due_at = %(due_at)s
where id = %(ticket_id)s

-- name: mark_scored
-- Notes that the score of a ticket was looked at.
update ticket
set priority_at = %(now)s
where id = %(ticket_id)s

-- name: tickets_to_score
-- The open tickets whose score nobody has looked at for a while, the longest first.
select code
from ticket
where state <> 'closed'
  and (priority_at is null or priority_at <= %(before)s)
order by priority_at nulls first, code
limit %(limit)s

-- name: insert_control
-- Keeps what the control policy says of a ticket beside what the policy in force says; later scores replace earlier.
insert into priority_control (
  ticket_id, policy_id, opened_at, level, score, control_level, control_score, control_reason
)
select id, policy_id, opened_at, %(level)s, %(score)s, %(control_level)s, %(control_score)s, %(control_reason)s
from ticket
where id = %(ticket_id)s
on conflict (ticket_id) do update
set
  level = excluded.level,
  score = excluded.score,
  control_level = excluded.control_level,
  control_score = excluded.control_score,
  control_reason = excluded.control_reason

-- name: control_months
-- Compares both policies: the tickets opened in a span, by both levels, with what became of them.
select
  c.level::integer as level, c.control_level::integer as control_level, count(*)::integer as tickets,
  count(*) filter (where t.state = 'closed')::integer as closed,
  count(*) filter (where exists (
    select from ticket_clock k
    where k.ticket_id = t.id
      and (k.stopped_at > k.due_at or k.noticed_at is not null)
  ))::integer as breached,
  count(*) filter (where exists (
    select from ticket_event e
    where e.ticket_id = t.id
      and (e.command = 'dispute' or (e.command = 'note' and not e.effective))
  ))::integer as complained,
  avg(extract(epoch from t.resolved_at - t.opened_at))::double precision as mean_resolve_s
from priority_control c
join ticket t on t.id = c.ticket_id
where c.opened_at >= %(starts_at)s
  and c.opened_at < %(ends_at)s
  and (%(sites)s::text[] is null or t.site_id = any (%(sites)s::text[]))
group by c.level, c.control_level
order by c.level, c.control_level

-- name: tickets_opened
-- How many tickets were opened in a span.
select count(*)::integer
from ticket
where opened_at >= %(starts_at)s
  and opened_at < %(ends_at)s
  and (%(sites)s::text[] is null or site_id = any (%(sites)s::text[]))
