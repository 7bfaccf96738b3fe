-- name: solved_tickets
-- Returns the newest resolved tickets with the calendar of their resolve clock, to learn from.
select t.priority, t.kind, t.failure_mode_id, k.calendar_id, k.started_at, t.resolved_at
from ticket t
join ticket_clock k on k.ticket_id = t.id and k.clock = 'resolve'
where t.state = 'closed'
  and t.resolved_at > %(since)s
  and t.outcome in ('repaired', 'false_alarm', 'no_fault_found', 'deferred')
order by t.resolved_at desc
limit %(limit)s

-- name: lock_estimates
-- One learns at a time; the lock ends with the transaction.
select pg_advisory_xact_lock(7306033)

-- name: clear_estimates
-- Forgets what was learned, to write it anew.
delete from resolution_estimate

-- name: insert_estimate
-- Keeps what the tickets of a group took.
insert into resolution_estimate (kind, priority, failure_mode_id, tickets, seconds, learned_at)
values (%(kind)s, %(priority)s, %(failure_mode_id)s, %(tickets)s, %(seconds)s, %(now)s)

-- name: estimate_for_ticket
-- Returns what the tickets most like this one took.
select e.priority, e.kind, e.failure_mode_id, e.tickets, e.seconds, e.learned_at
from resolution_estimate e
join ticket t on t.id = %(ticket_id)s
where (e.priority is null or e.priority = t.priority)
  and (e.kind is null or e.kind = t.kind)
  and (e.failure_mode_id is null or e.failure_mode_id = t.failure_mode_id)
order by num_nonnulls(e.priority, e.kind, e.failure_mode_id) desc
limit 1
