-- name: ticket_to_plan
-- Returns what planning needs beside the ticket: since when it is on hold, and the calendar of its accept clock.
select
  (select h.started_at from hold h where h.ticket_id = t.id and h.ended_at is null) as held_at,
  (select k.calendar_id from ticket_clock k where k.ticket_id = t.id and k.clock = 'accept') as calendar_id
from ticket t
where t.id = %(ticket_id)s

-- name: standing
-- Returns the ladders that stand on a ticket, each with its open step.
select
  e.id, e.ladder, e.starts_on, e.subject, e.calendar_id, e.began_at, e.paused_at, s.id as step_id, s.number, s.due_at
from escalation e
left join escalation_step s on s.escalation_id = e.id and s.done_at is null and s.dropped_at is null
where e.ticket_id = %(ticket_id)s
  and e.ended_at is null
order by e.id

-- name: begin
-- Begins a round of a ladder.
insert into escalation (ticket_id, ladder, starts_on, round, subject, calendar_id, began_at, paused_at)
values (
  %(ticket_id)s,
  %(ladder)s,
  %(starts_on)s,
  (select coalesce(max(round), 0) + 1 from escalation where ticket_id = %(ticket_id)s and ladder = %(ladder)s),
  %(subject)s,
  %(calendar_id)s,
  %(began_at)s,
  %(paused_at)s
)
returning id

-- name: plan_step
-- Plans a step.
insert into escalation_step (escalation_id, number, due_at)
values (%(escalation_id)s, %(number)s, %(due_at)s)

-- name: end
-- Ends a ladder that no longer stands, and drops its open step.
with ended as (
  update escalation
  set ended_at = %(now)s
  where id = %(id)s
    and ended_at is null
)
update escalation_step
set dropped_at = %(now)s
where escalation_id = %(id)s
  and done_at is null
  and dropped_at is null

-- name: take_flag_down
-- Takes the flag of a ticket down.
update ticket
set flag = null
where id = %(ticket_id)s
  and flag is not null

-- name: pause
-- Makes a ladder stand still.
update escalation
set paused_at = %(now)s
where id = %(id)s

-- name: go_on
-- Lets a ladder go on after a hold or on another calendar, from where it would have begun.
update escalation
set
  paused_at = %(paused_at)s,
  began_at = %(began_at)s,
  calendar_id = %(calendar_id)s
where id = %(id)s

-- name: move_step
-- Moves an open step.
update escalation_step
set due_at = %(due_at)s
where id = %(step_id)s
  and done_at is null
  and dropped_at is null

-- name: due_steps
-- Returns the steps that are due, the longest overdue first.
select s.id, t.code
from escalation_step s
join escalation e on e.id = s.escalation_id
join ticket t on t.id = e.ticket_id
where s.done_at is null
  and s.dropped_at is null
  and s.due_at <= %(now)s
  and e.paused_at is null
order by s.due_at, s.id
limit %(limit)s

-- name: try_lock_ticket
-- Locks a ticket as commands do, unless somebody has it at this moment.
select id
from ticket
where code = %(code)s
for no key update skip locked

-- name: claim_step
-- Takes a step that is due, once: of two sweeps the second finds it done.
update escalation_step s
set done_at = %(now)s
from escalation e
where s.id = %(step_id)s
  and e.id = s.escalation_id
  and s.done_at is null
  and s.dropped_at is null
  and s.due_at <= %(now)s
  and e.paused_at is null
  and e.ended_at is null
  and e.acknowledged_at is null
  and e.overtaken_at is null
returning e.id, e.ladder, e.calendar_id, e.began_at, s.number, s.due_at

-- name: drop_step
-- Drops a step that a graver ladder makes needless.
update escalation_step
set
  done_at = null,
  dropped_at = %(now)s
where id = %(step_id)s

-- name: overtake
-- Silences the ladders of a ticket that start on the same as a graver one, and drops their open steps.
with silenced as (
  update escalation
  set overtaken_at = %(now)s
  where ticket_id = %(ticket_id)s
    and ladder = any(%(ladders)s)
    and ended_at is null
    and overtaken_at is null
  returning id
)
update escalation_step
set dropped_at = %(now)s
where escalation_id in (select id from silenced)
  and done_at is null
  and dropped_at is null

-- name: graver_is_due
-- Tells whether a graver ladder of the ticket has a step due.
select 1
from escalation e
join escalation_step s on s.escalation_id = e.id and s.done_at is null and s.dropped_at is null
where e.ticket_id = %(ticket_id)s
  and e.ladder = any(%(ladders)s)
  and e.ended_at is null
  and e.paused_at is null
  and s.due_at <= %(now)s
limit 1

-- name: raise_flag
-- Puts a ticket on the team's board.
update ticket
set flag = %(flag)s
where id = %(ticket_id)s

-- name: record_told
-- Keeps which message told whom on which channel.
insert into escalation_told (step_id, person_id, channel, outbox_id)
values (%(step_id)s, %(person_id)s, %(channel)s, %(outbox_id)s)

-- name: acknowledge
-- Silences the ladders of a ticket that have told somebody, and drops their open steps.
with silenced as (
  update escalation e
  set
    acknowledged_at = %(now)s,
    acknowledged_by = %(person_id)s
  where e.ticket_id = %(ticket_id)s
    and e.ended_at is null
    and e.acknowledged_at is null
    and exists (select from escalation_step s where s.escalation_id = e.id and s.done_at is not null)
  returning e.id
)
update escalation_step
set dropped_at = %(now)s
where escalation_id in (select id from silenced)
  and done_at is null
  and dropped_at is null

-- name: tickets_without_ladders
-- Returns open tickets on which no ladder stands though their policy has one for every open ticket.
select t.code
from ticket t
join policy p on p.id = t.policy_id
where t.state <> 'closed'
  and p.body @> '{"escalation": {"ladder": [{"starts_on": "inactive"}]}}'
  and not exists (select from escalation e where e.ticket_id = t.id and e.ended_at is null)
order by t.id
limit %(limit)s

-- name: team_of_ticket
-- Returns the team that has a ticket, or its engineer's, with the lead (their delegate while they are absent) and backup.
select team.id, lead.id, backup.id, backup.name
from ticket t
left join person assignee on assignee.id = t.assignee_id
left join team on team.id = coalesce(t.team_id, assignee.team_id)
left join absence away on away.person_id = team.lead_id and away.starts_at <= %(now)s and away.ends_at > %(now)s
left join person lead
  on lead.id = case when away.id is null then team.lead_id else away.delegate_id end
  and lead.active
left join team backup on backup.id = team.backup_team_id
where t.id = %(ticket_id)s

-- name: teams_passed_by
-- Returns the teams that a ticket was taken from already: it is not passed back to them.
select (event.facts ->> 'from_team_id')::bigint
from ticket_event event
where event.ticket_id = %(ticket_id)s
  and event.command = 'pass_to_backup'
  and event.facts ->> 'from_team_id' is not null

-- name: lead_of_team
-- Returns the active lead of a team, their delegate while they are absent.
select lead.id
from team
left join absence away on away.person_id = team.lead_id and away.starts_at <= %(now)s and away.ends_at > %(now)s
join person lead on lead.id = case when away.id is null then team.lead_id else away.delegate_id end
where team.id = %(team_id)s
  and lead.active

-- name: directors_of_site
-- Returns the active directors of a site.
select d.person_id
from site_director d
join person p on p.id = d.person_id
where d.site_id = %(site_id)s
  and p.active
order by d.person_id

-- name: active_person
-- Returns a person who is active.
select id
from person
where id = %(person_id)s
  and active

-- name: ticket_steps
-- Returns every step of the ladders of a ticket, the ladders in the order in which they began.
select
  e.id as escalation_id, e.ladder, e.starts_on, e.round, e.began_at, e.paused_at, e.acknowledged_at,
  who.name as acknowledged_by, e.overtaken_at, e.ended_at, s.id as step_id, s.number, s.due_at, s.done_at, s.dropped_at
from escalation e
join escalation_step s on s.escalation_id = e.id
left join person who on who.id = e.acknowledged_by
where e.ticket_id = %(ticket_id)s
order by e.id, s.number

-- name: ticket_attempts
-- Returns whom the steps of a ticket told, with every attempt on every channel.
select
  w.step_id, p.id as person_id, p.name, w.channel, o.done_at, o.given_up_at, a.number, a.channel as tried, a.at,
  a.delivered, a.detail
from escalation e
join escalation_step s on s.escalation_id = e.id
join escalation_told w on w.step_id = s.id
join person p on p.id = w.person_id
join outbox o on o.id = w.outbox_id
left join delivery_attempt a on a.outbox_id = o.id
where e.ticket_id = %(ticket_id)s
order by w.outbox_id, a.number, a.at

-- name: recorded_notices
-- Returns what phone and text messages would have carried at these sites, newest first.
select r.id, r.channel, r.person_id, p.name as person_name, t.code, r.text, r.at
from recorded_notice r
join person p on p.id = r.person_id
join outbox o on o.id = r.outbox_id
left join ticket t on t.id = o.ticket_id
where (%(sites)s::text[] is null or t.site_id = any(%(sites)s))
  and (%(channel)s::text is null or r.channel = %(channel)s)
  and (%(before)s::bigint is null or r.id < %(before)s)
order by r.id desc
limit %(limit)s

-- name: forget_directors
-- Forgets the directors of a site.
delete from site_director
where site_id = %(site_id)s

-- name: add_director
-- Makes an active person a director of a site.
insert into site_director (site_id, person_id)
select %(site_id)s, id
from person
where id = %(person_id)s
  and active

-- name: list_directors
-- Returns the directors of a site, inactive ones too.
select p.id, p.name, p.active
from site_director d
join person p on p.id = d.person_id
where d.site_id = %(site_id)s
order by p.id
