-- name: feed_silent
-- Feeds of which nothing was heard for longer than they may be silent (SPEC E8).
select name, site_id, jsonb_build_object('last_message_at', last_message_at, 'silent_after_s', silent_after_s)
from feed
where enabled
  and silent_after_s is not null
  and coalesce(last_message_at, created_at) < %(now)s - silent_after_s * interval '1 second'
order by id

-- name: site_silent
-- Sites of which no device that is expected to speak was heard for long, and at least three intervals (SPEC E8).
select site_id, site_id, jsonb_build_object('last_message_at', max(last_seen_at), 'devices', count(*))
from device
where time_policy = 'live'
  and expected_interval_s is not null
  and last_seen_at is not null
group by site_id
having max(last_seen_at)
       < %(now)s - greatest(%(site_silent_s)s, 3 * min(expected_interval_s)) * interval '1 second'
order by site_id

-- name: ingest_silent
-- Ingesters that do not say that they live.
select partition, null, jsonb_build_object('beat_at', beat_at)
from checkpoint_fence
where beat_at < %(now)s - %(process_silent_s)s * interval '1 second'
order by partition

-- name: ingest_behind
-- Ingesters with messages waiting, of which none was stored for long.
select partition, null, jsonb_build_object('queued', queued, 'processed_at', processed_at)
from checkpoint_fence
where queued > 0
  and coalesce(processed_at, taken_at) < %(now)s - %(ingest_behind_s)s * interval '1 second'
order by partition

-- name: process_silent
-- Processes that have not finished a round of their work for long.
select process, null, jsonb_build_object('beat_at', beat_at)
from heartbeat
where beat_at < %(now)s - %(process_silent_s)s * interval '1 second'
order by process

-- name: quarantine_rising
-- Reasons for which many new messages were set aside in the last five minutes.
select reason, null, jsonb_build_object('messages', count(*), 'minutes', 5)
from quarantine
where received_at > %(now)s - interval '5 minutes'
  and replayed_at is null
group by reason
having count(*) > 5 * %(quarantine_per_minute)s
order by reason

-- name: outbox_given_up
-- Messages that nobody got.
select 'outbox', null, jsonb_build_object('messages', count(*), 'newest_at', max(given_up_at))
from outbox
where given_up_at is not null
  and done_at is null
having count(*) > 0

-- name: holidays_ending
-- Calendars in use whose official holidays are known for a short time only (SPEC S3).
select calendar.id, null, jsonb_build_object('until', calendar.official_until)
from calendar
where calendar.official_until < %(holidays_needed_until)s
  and (
    exists (select from site where site.calendar_id = calendar.id)
    or exists (select from person where person.calendar_id = calendar.id)
  )
order by calendar.id

-- name: escalation_late
-- Sites with live tickets whose escalation has a step long overdue, or goes on without one (SPEC N4).
select site_id, site_id, jsonb_build_object('steps', count(*), 'oldest_at', min(due_at), 'code', min(code))
from (
  select t.site_id, t.code, s.due_at
  from escalation_step s
  join escalation e on e.id = s.escalation_id
  join ticket t on t.id = e.ticket_id
  where s.done_at is null
    and s.dropped_at is null
    and e.paused_at is null
    and s.due_at < %(now)s - %(escalation_late_s)s * interval '1 second'
  union all
  select t.site_id, t.code, e.began_at
  from escalation e
  join ticket t on t.id = e.ticket_id
  where e.ended_at is null
    and e.acknowledged_at is null
    and e.overtaken_at is null
    and not exists (
      select
      from escalation_step s
      where s.escalation_id = e.id
        and s.done_at is null
        and s.dropped_at is null
    )
  union all
  select t.site_id, t.code, t.opened_at
  from ticket t
  join policy p on p.id = t.policy_id
  where t.state <> 'closed'
    and t.opened_at < %(now)s - %(escalation_late_s)s * interval '1 second'
    and p.body @> '{"escalation": {"ladder": [{"starts_on": "inactive"}]}}'
    and not exists (select from escalation e where e.ticket_id = t.id and e.ended_at is null)
) late
group by site_id
order by site_id

-- name: raise
-- Open an alarm unless it is open already; says whether the same was cleared so recently that nobody need be told again.
insert into service_alarm (kind, subject, site_id, detail, raised_at)
values (%(kind)s, %(subject)s, %(site_id)s, %(detail)s, %(now)s)
on conflict do nothing
returning exists (
  select
  from service_alarm as before
  where before.kind = %(kind)s
    and before.subject = %(subject)s
    and before.cleared_at > %(now)s - %(quiet_s)s * interval '1 second'
)

-- name: clear_others
-- Clear the alarms that are no longer true.
update service_alarm
set cleared_at = %(now)s
where cleared_at is null
  and (kind, subject) not in (select * from unnest(%(kinds)s::text[], %(subjects)s::text[]))

-- name: lock_sweep
-- One sweep at a time; the lock ends with the transaction.
select pg_try_advisory_xact_lock(7306015)

-- name: page
-- Alarms, newest first: those of these sites and those of the whole service.
select id, kind, subject, site_id as site, detail, raised_at, cleared_at
from service_alarm
where (%(sites)s::text[] is null or site_id is null or site_id = any(%(sites)s))
  and (%(before)s::bigint is null or id < %(before)s)
  and (not %(open_only)s or cleared_at is null)
order by id desc
limit %(limit)s

-- name: beat
-- A process finished a round of its work.
insert into heartbeat (process, beat_at)
values (%(process)s, %(now)s)
on conflict (process) do update
set beat_at = excluded.beat_at

-- name: beats
-- When each process last finished a round of its work.
select process, beat_at
from heartbeat
order by process

-- name: forget_beats
-- Forget what was heard before a start: beats of processes that are no longer part of the service would alarm for ever.
delete from heartbeat

-- name: expect_beats
-- Count the silence of processes that are being started from now.
insert into heartbeat (process, beat_at)
select unnest(%(processes)s::text[]), %(now)s

-- name: expect_ingesters
-- Count the silence of ingesters from now.
update checkpoint_fence
set beat_at = %(now)s
where beat_at is not null
