-- Remaining life: the runs to failure it is learnt from, what live assets have run so far, and what was made of it.

-- name: runs_to_failure
-- The newest runs of a failure mode: from when its component was fitted until the failure that a ticket repaired.
-- The part that failed is the one that was there when the evidence came. It ended when it was replaced, or at the end of
-- the work. What a second ticket repaired of the same part is no life of its own.
select asset_id, installed_at, ended_at
from (
  select distinct on (ticket.asset_id, fitted.installed_at)
         ticket.asset_id, fitted.installed_at,
         least(ticket.work_finished_at, coalesce(replaced.installed_at, ticket.work_finished_at)) as ended_at
  from closure_lesson as lesson
  join ticket on ticket.id = lesson.ticket_id
  join failure_mode as mode on mode.id = lesson.found_mode_id
  cross join lateral (
    select max(installation.installed_at) as installed_at
    from component_installation as installation
    where installation.asset_id = ticket.asset_id
      and installation.component = mode.component
      and installation.installed_at < ticket.evidence_at
  ) as fitted
  left join lateral (
    select min(installation.installed_at) as installed_at
    from component_installation as installation
    where installation.asset_id = ticket.asset_id
      and installation.component = mode.component
      and installation.installed_at >= ticket.evidence_at
  ) as replaced on true
  where lesson.found_mode_id = %(failure_mode_id)s
    and lesson.outcome = 'repaired'
    and ticket.work_finished_at is not null
    and fitted.installed_at is not null
  order by ticket.asset_id, fitted.installed_at, ticket.work_finished_at
) as run
where installed_at < ended_at
order by ended_at desc, asset_id
limit %(limit)s

-- name: parts_in_service
-- The assets of a failure mode's type that are in service and said when its component was fitted, with their clocks.
select asset.id, fitted.installed_at, spoken.last_reading_at
from failure_mode as mode
join asset on asset.asset_type_id = mode.asset_type_id
cross join lateral (
  select max(installation.installed_at) as installed_at
  from component_installation as installation
  where installation.asset_id = asset.id
    and installation.component = mode.component
) as fitted
cross join lateral (
  select max(device.last_reading_at) as last_reading_at
  from device
  where device.asset_id = asset.id
) as spoken
where mode.id = %(failure_mode_id)s
  and asset.status = 'in_service'
  and fitted.installed_at < spoken.last_reading_at
order by asset.id

-- name: steps
-- The means of an asset's metrics in equal steps from a time on: metric, number of the step, mean; from whole hours.
select series.metric,
       floor(extract(epoch from rolled.bucket - %(from)s::timestamptz) / %(step_s)s)::integer as step,
       sum(rolled.s) / sum(rolled.n)
from device
join series on series.device_id = device.id
join reading_1h as rolled on rolled.series_id = series.id
where device.asset_id = %(asset_id)s
  and rolled.bucket >= %(from)s
  and rolled.bucket < %(to)s
group by 1, 2
order by 1, 2

-- name: forget_lives
-- Deletes what was told of a failure mode.
delete from remaining_life
where failure_mode_id = %(failure_mode_id)s

-- name: tell_life
-- Stores how long an asset has left before a failure mode.
insert into remaining_life (
  asset_id, failure_mode_id, as_of, low_h, middle_h, high_h, coverage, method, runs, told_at
)
values (
  %(asset_id)s, %(failure_mode_id)s, %(as_of)s, %(low_h)s, %(middle_h)s, %(high_h)s, %(coverage)s, %(method)s,
  %(runs)s, %(now)s
)

-- name: tell_learning
-- Stores of how many runs to failure a mode was learnt, in place of what was told before.
insert into life_learning (failure_mode_id, runs, used, left_out, told_at)
values (%(failure_mode_id)s, %(runs)s, %(used)s, %(left_out)s, %(now)s)
on conflict (failure_mode_id)
do update set runs = excluded.runs, used = excluded.used, left_out = excluded.left_out, told_at = excluded.told_at

-- name: learning_of_mode
-- Of how many runs to failure a mode was learnt at its last telling.
select runs, used, left_out
from life_learning
where failure_mode_id = %(failure_mode_id)s

-- name: lives_of_asset
-- The failure modes of an asset's type, each with the time left, null where it is not known.
-- What was told of a part that has been replaced since is not about the part that is there.
select mode.id, mode.code, mode.name_en, mode.name_zh, told.as_of, told.low_h, told.middle_h, told.high_h, told.coverage,
       told.method, told.runs
from asset
join failure_mode as mode on mode.asset_type_id = asset.asset_type_id
left join remaining_life as told
  on told.asset_id = asset.id
  and told.failure_mode_id = mode.id
  and not exists (
    select
    from component_installation as installation
    where installation.asset_id = asset.id
      and installation.component = mode.component
      and installation.installed_at > told.as_of
  )
where asset.id = %(asset_id)s
order by mode.code
