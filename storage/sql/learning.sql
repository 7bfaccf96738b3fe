-- Learning: the lessons of closures, and what was made of them.

-- name: types_due
-- The asset types whose lessons, library or policy are not those that were learnt from last.
select state.asset_type_id, state.fingerprint
from (
  select
    asset_type.id as asset_type_id,
    md5(concat_ws('|',
      (select count(*) from closure_lesson where closure_lesson.asset_type_id = asset_type.id),
      (select max(policy.id) from policy where policy.name = 'detection'),
      (
        select string_agg(failure_mode::text, '|' order by failure_mode.id)
        from failure_mode
        where failure_mode.asset_type_id = asset_type.id
      ),
      (
        select string_agg(need::text, '|' order by need.failure_mode_id, need.part_id)
        from failure_mode_part as need
        join failure_mode on failure_mode.id = need.failure_mode_id
        where failure_mode.asset_type_id = asset_type.id
      )
    )) as fingerprint
  from asset_type
) as state
left join learnt_type on learnt_type.asset_type_id = state.asset_type_id
where (%(asset_type)s::text is null or state.asset_type_id = %(asset_type)s)
  and state.fingerprint is distinct from learnt_type.fingerprint
order by state.asset_type_id;

-- name: hold_learning
-- Lets one learner at a time work on an asset type, until the transaction ends.
select pg_advisory_xact_lock(hashtextextended('learning ' || %(asset_type)s, 0));

-- name: lessons
-- The newest lessons of an asset type that say whether there was a fault; a deferred or unnamed one does not.
select
  lesson.ticket_id::text, predicted.code, found.code, lesson.findings, lesson.events, lesson.context_log_odds,
  lesson.parts
from closure_lesson as lesson
left join failure_mode as predicted on predicted.id = lesson.predicted_mode_id
left join failure_mode as found on found.id = lesson.found_mode_id
where lesson.asset_type_id = %(asset_type)s
  and (
    lesson.outcome in ('no_fault_found', 'false_alarm')
    or (lesson.outcome = 'repaired' and lesson.found_mode_id is not null)
  )
order by lesson.ticket_id desc
limit %(limit)s;

-- name: save_learnt_mode
-- Keeps what was learnt about a mode.
insert into learnt_mode (failure_mode_id, learnt, learnt_at)
values (%(failure_mode_id)s, %(learnt)s, %(now)s)
on conflict (failure_mode_id) do update
set
  learnt = excluded.learnt,
  learnt_at = excluded.learnt_at
where learnt_mode.learnt is distinct from excluded.learnt;

-- name: save_learnt_type
-- Keeps what state was learnt from.
insert into learnt_type (asset_type_id, fingerprint, lessons, learnt_at)
values (%(asset_type)s, %(fingerprint)s, %(lessons)s, %(now)s)
on conflict (asset_type_id) do update
set
  fingerprint = excluded.fingerprint,
  lessons = excluded.lessons,
  learnt_at = excluded.learnt_at;

-- name: learnt_modes
-- What was learnt about the modes of an asset type, or of all of them.
select learnt_mode.failure_mode_id, learnt_mode.learnt, learnt_mode.learnt_at
from learnt_mode
join failure_mode on failure_mode.id = learnt_mode.failure_mode_id
where (%(asset_type)s::text is null or failure_mode.asset_type_id = %(asset_type)s)
  and (%(failure_mode_id)s::bigint is null or failure_mode.id = %(failure_mode_id)s)
order by learnt_mode.failure_mode_id;
