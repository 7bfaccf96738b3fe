-- name: bearings_of_asset
-- The bearings of an asset that are known from inside.
select component, metric, bpfo, bpfi, bsf, ftf, speed_rpm, elements, ball_diameter_mm, pitch_diameter_mm,
       contact_angle_deg, designation
from bearing
where asset_id = %(asset_id)s
order by component

-- name: fitted_bearings
-- The fault orders of the bearings that the accelerometers of these assets hear.
select asset_id, metric, bpfo, bpfi, bsf, ftf, speed_rpm
from bearing
where asset_id = any(%(asset_ids)s)

-- name: ensure_component
-- Make the component that a bearing is, where the register does not have it yet.
insert into component (asset_id, code)
values (%(asset_id)s, %(component)s)
on conflict do nothing

-- name: put_bearing
-- Add a bearing or replace what is known of it; with other orders or another speed its ratios are of other lines.
insert into bearing (
  asset_id, component, metric, bpfo, bpfi, bsf, ftf, speed_rpm, elements, ball_diameter_mm, pitch_diameter_mm,
  contact_angle_deg, designation
)
values (
  %(asset_id)s, %(component)s, %(metric)s, %(bpfo)s, %(bpfi)s, %(bsf)s, %(ftf)s, %(speed_rpm)s, %(elements)s,
  %(ball_diameter_mm)s, %(pitch_diameter_mm)s, %(contact_angle_deg)s, %(designation)s
)
on conflict (asset_id, component) do update
set metric = excluded.metric,
    bpfo = excluded.bpfo,
    bpfi = excluded.bpfi,
    bsf = excluded.bsf,
    ftf = excluded.ftf,
    speed_rpm = excluded.speed_rpm,
    elements = excluded.elements,
    ball_diameter_mm = excluded.ball_diameter_mm,
    pitch_diameter_mm = excluded.pitch_diameter_mm,
    contact_angle_deg = excluded.contact_angle_deg,
    designation = excluded.designation,
    heard_since = case
      when (bearing.metric, bearing.bpfo, bearing.bpfi, bearing.bsf, bearing.ftf, bearing.speed_rpm)
        is distinct from (excluded.metric, excluded.bpfo, excluded.bpfi, excluded.bsf, excluded.ftf, excluded.speed_rpm)
      then %(now)s
      else bearing.heard_since
    end

-- name: remove_bearing
-- Forget the inside of a bearing; the component stays.
delete from bearing
where asset_id = %(asset_id)s and component = %(component)s

-- name: heard_by_finding
-- The asset that a finding is about and when it opened, in equipment time.
select asset_id, opened_at
from finding
where id = %(finding_id)s

-- name: newest_block
-- The newest kept block of a metric of an asset, not after a moment.
select newest.id
from device
cross join lateral (
  select waveform.id, waveform.ts
  from waveform
  where waveform.device_id = device.id
    and waveform.metric = %(metric)s
    and waveform.ts <= %(until)s
  order by waveform.ts desc
  limit 1
) as newest
where device.asset_id = %(asset_id)s
order by newest.ts desc
limit 1

-- name: healthy_ratios
-- Of each part's ratio the highest of the first readings after the anchor, before anything was found, and their number.
with since as (
  select greatest(
    (select heard_since from bearing where asset_id = %(asset_id)s and component = %(component)s),
    (select max(anchored_at) from anchor where asset_id = %(asset_id)s and starts_with(metric, %(metric)s || '.'))
  ) as ts
),
healthy as (
  select since.ts as since,
         least(%(before)s::timestamptz, (
           select min(finding.opened_at)
           from finding
           where finding.asset_id = %(asset_id)s
             and not finding.shadow
             and starts_with(finding.metric, %(metric)s || '.')
             and finding.opened_at >= coalesce(since.ts, '-infinity')
         )) as before
  from since
)
select series.metric, max(first.value), count(first.value)
from device
join series on series.device_id = device.id and series.metric = any(%(ratios)s)
cross join healthy
cross join lateral (
  select reading.value
  from reading
  where reading.series_id = series.id
    and reading.ts >= coalesce(healthy.since, '-infinity')
    and reading.ts < healthy.before
  order by reading.ts
  limit %(limit)s
) as first
where device.asset_id = %(asset_id)s
group by series.metric

-- name: freeze_verdict
-- Stores what a block named when a finding opened, once.
insert into bearing_verdict (
  finding_id, component, metric, block_ts, speed_rpm, part, healthy_blocks, parts, judged_at
)
values (
  %(finding_id)s, %(component)s, %(metric)s, %(block_ts)s, %(speed_rpm)s, %(part)s, %(healthy_blocks)s, %(parts)s,
  %(now)s
)
on conflict do nothing

-- name: verdicts_of
-- What the bearings of the asset had said when a finding opened.
select component, metric, block_ts, speed_rpm, part, healthy_blocks, parts
from bearing_verdict
where finding_id = %(finding_id)s
order by component

-- name: severity_class
-- By which borders an asset's vibration velocity is judged.
select machine_group, foundation
from severity_class
where asset_id = %(asset_id)s

-- name: put_severity_class
-- Says by which borders an asset's vibration velocity is judged.
insert into severity_class (asset_id, machine_group, foundation)
values (%(asset_id)s, %(machine_group)s, %(foundation)s)
on conflict (asset_id) do update
set machine_group = excluded.machine_group,
    foundation = excluded.foundation
