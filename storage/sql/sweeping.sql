-- name: overdue_clocks
-- Returns the running clocks that are over and untold, the longest overdue first; paused ones must not crowd them out.
select t.code, k.clock
from ticket_clock k
join ticket t on t.id = k.ticket_id
join policy p on p.id = t.policy_id
where k.stopped_at is null
  and k.noticed_at is null
  and k.due_at < %(now)s
  and t.state <> 'closed'
  and not exists (
    select
    from hold h
    where h.ticket_id = t.id
      and h.ended_at is null
      and h.started_at < k.due_at
      and p.body -> 'hold_pauses' -> h.reason ? k.clock
  )
order by k.due_at
limit %(limit)s

-- name: clock_to_notice
-- Returns a clock that is over and not yet told; asked again once its ticket is locked.
select k.ticket_id, k.calendar_id, k.target_s, k.started_at, k.due_at, t.policy_id
from ticket_clock k
join ticket t on t.id = k.ticket_id
where t.code = %(code)s
  and k.clock = %(clock)s
  and k.stopped_at is null
  and k.noticed_at is null
  and k.due_at < %(now)s
  and t.state <> 'closed'

-- name: mark_clock_noticed
-- Marks an overdue clock as told.
update ticket_clock
set noticed_at = %(now)s
where ticket_id = %(ticket_id)s
  and clock = %(clock)s

-- name: holds_to_review
-- Returns the holds whose review date has passed and that nobody has been told of.
select t.code
from hold h
join ticket t on t.id = h.ticket_id
where h.ended_at is null
  and h.noticed_at is null
  and h.review_at < %(now)s
order by h.review_at
limit %(limit)s

-- name: notice_hold
-- Marks a hold as told, once.
update hold h
set noticed_at = %(now)s
from ticket t
where t.id = h.ticket_id
  and t.code = %(code)s
  and h.ended_at is null
  and h.noticed_at is null
  and h.review_at < %(now)s
returning h.reason, h.review_at
