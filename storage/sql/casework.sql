-- name: lock_assets_of_tickets
-- Locks the assets of tickets about to end or begin, as the desk does that joins findings: never crosswise.
select a.id
from asset a
where a.id in (select t.asset_id from ticket t where t.code = any (%(codes)s))
order by a.id
for no key update

-- name: lock_tickets
-- Locks the tickets of a command in the order of their codes, so that commands on one ticket follow each other.
select id
from ticket
where code = any (%(codes)s)
order by code
for no key update

-- name: open_ticket_of_asset
-- Returns the open ticket of a failure mode, by its code, of an asset.
select t.code
from ticket t
join failure_mode m on m.id = t.failure_mode_id
where t.asset_id = %(asset_id)s
  and m.code = %(code)s
  and t.state <> 'closed'

-- name: lock_ticket
-- Locks a ticket for a command, so that commands on one ticket follow each other.
select id
from ticket
where code = %(code)s
for no key update

-- name: update_ticket
-- Saves the ticket after a command, if it is still the version that the command was decided on.
update ticket
set
  state = %(state)s,
  outcome = %(outcome)s,
  assignee_id = %(assignee_id)s,
  team_id = %(team_id)s,
  due_at = %(due_at)s,
  expected_response_at = %(expected_response_at)s,
  responded_at = %(responded_at)s,
  resolution_code = %(resolution_code)s,
  found_failure_mode_id = (
    select m.id
    from failure_mode m
    join asset a on a.asset_type_id = m.asset_type_id
    where a.id = ticket.asset_id
      and m.code = %(found_failure_mode)s
  ),
  cause = %(cause)s,
  action_taken = %(action_taken)s,
  work_finished_at = %(work_finished_at)s,
  resolved_at = %(resolved_at)s,
  confirmed_at = %(confirmed_at)s,
  confirmed_by = %(confirmed_by)s,
  closed_at = %(closed_at)s,
  merged_into_id = (select survivor.id from ticket survivor where survivor.code = %(merged_into)s),
  reopened_count = %(reopened_count)s,
  last_effective_at = %(last_effective_at)s,
  version = %(version)s,
  timeline_length = timeline_length + 1,
  timeline_head = %(timeline_head)s
where id = %(id)s
  and version = %(version_before)s
  and timeline_length = %(timeline_length_before)s

-- name: insert_event
-- Appends an event to the timeline.
insert into ticket_event (
  ticket_id, number, at, actor_kind, actor_id, actor_name, channel, command, from_state, to_state, effective, summary,
  facts, previous_hash, hash
)
values (
  %(ticket_id)s, %(number)s, %(at)s, %(actor_kind)s, %(actor_id)s, %(actor_name)s, %(channel)s, %(command)s,
  %(from_state)s, %(to_state)s, %(effective)s, %(summary)s, %(facts)s, %(previous_hash)s, %(hash)s
)

-- name: save_clock
-- Saves a clock with the version it is planned on; one started again, or due later than noticed, may be noticed again.
insert into ticket_clock (
  ticket_id, clock, calendar_id, calendar_version, target_s, started_at, due_at, stopped_at
)
values (
  %(ticket_id)s, %(clock)s, %(calendar_id)s, (select version from calendar where id = %(calendar_id)s),
  %(target_s)s, %(started_at)s, %(due_at)s, %(stopped_at)s
)
on conflict (ticket_id, clock) do update
set
  calendar_id = excluded.calendar_id,
  -- One that is not planned anew keeps the version that it was planned on.
  calendar_version = case
    when (excluded.calendar_id, excluded.due_at) is not distinct from (ticket_clock.calendar_id, ticket_clock.due_at)
      then ticket_clock.calendar_version
    else excluded.calendar_version
  end,
  target_s = excluded.target_s,
  started_at = excluded.started_at,
  due_at = excluded.due_at,
  stopped_at = excluded.stopped_at,
  noticed_at = case
    when excluded.started_at = ticket_clock.started_at and excluded.due_at < ticket_clock.noticed_at
      then ticket_clock.noticed_at
  end

-- name: begin_hold
-- Begins a hold.
insert into hold (ticket_id, started_at, reason, review_at)
values (%(ticket_id)s, %(now)s, %(reason)s, %(review_at)s)

-- name: move_review
-- Moves the review date of the open hold of a ticket; one that was told of is told of again.
update hold
set
  review_at = %(review_at)s,
  noticed_at = null
where ticket_id = %(ticket_id)s
  and ended_at is null

-- name: end_hold
-- Ends the hold of a ticket, if it has one.
update hold
set ended_at = %(now)s
where ticket_id = %(ticket_id)s
  and ended_at is null

-- name: task_to_complete
-- Returns a task of the checklist with what it asks for, and when it was done.
select
  k.done_at, k.unit, k.low_limit, k.high_limit, k.opens_ticket, k.text_en, k.text_zh, m.code as failure_mode
from ticket_task k
left join failure_mode m on m.id = k.failure_mode_id
where k.ticket_id = %(ticket_id)s
  and k.number = %(number)s

-- name: complete_task
-- Completes an open task of the checklist.
update ticket_task
set
  done_at = %(now)s,
  done_by = %(person_id)s,
  result = %(result)s,
  reading = %(reading)s,
  remark = %(remark)s
where ticket_id = %(ticket_id)s
  and number = %(number)s
  and done_at is null
returning number

-- name: note_opened_ticket
-- Notes which ticket a failed check opened, or joined.
update ticket_task
set opened_ticket_id = (select t.id from ticket t where t.code = %(code)s)
where ticket_id = %(ticket_id)s
  and number = %(number)s

-- name: attachment_of_ticket
-- Tells whether a file belongs to a ticket.
select id
from attachment
where id = %(id)s
  and ticket_id = %(ticket_id)s

-- name: failure_mode_of_asset
-- Returns a failure mode of the asset's type.
select m.id
from failure_mode m
join asset a on a.asset_type_id = m.asset_type_id
where a.id = %(asset_id)s
  and m.code = %(code)s

-- name: join_finding
-- Joins a finding to a ticket, once.
insert into ticket_finding (ticket_id, finding_id, joined_at)
values (%(ticket_id)s, %(finding_id)s, %(now)s)
on conflict do nothing
returning finding_id

-- name: code_of_ticket
-- Returns the tracking code of a ticket.
select code
from ticket
where id = %(id)s
