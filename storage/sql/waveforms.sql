-- Waveform blocks: kept by policy, listed, read whole, pruned by age.

-- name: situations
-- What each block meets: the asset, is it stored already, does its interval have one, was a finding open at its time.
select
  device.asset_id,
  exists (
    select from waveform
    where waveform.device_id = given.device_id
      and waveform.metric = given.metric
      and waveform.ts = given.ts
  ),
  exists (
    select from waveform
    where waveform.device_id = given.device_id
      and waveform.metric = given.metric
      and waveform.ts >= given.slot_from
      and waveform.ts < given.slot_to
  ),
  exists (
    select from finding
    where finding.asset_id = device.asset_id
      and not finding.shadow
      and finding.opened_at <= given.ends
      and (finding.cleared_at is null or finding.cleared_at >= given.ts)
  )
from unnest(
  %(device_ids)s::bigint[], %(metrics)s::text[], %(ts)s::timestamptz[], %(ends)s::timestamptz[],
  %(slots_from)s::timestamptz[], %(slots_to)s::timestamptz[]
) with ordinality as given (device_id, metric, ts, ends, slot_from, slot_to, place)
join device on device.id = given.device_id
order by given.place

-- name: usage
-- Bytes stored for each of these devices on a day.
select device_id, bytes
from waveform_usage
where device_id = any(%(device_ids)s::bigint[])
  and day = %(day)s

-- name: insert_waveforms
-- Stores blocks that are new and counts their bytes against the day; returns how many were new.
with new as (
  insert into waveform (
    device_id, asset_id, metric, unit, rate_hz, speed_rpm, ts, sample_count, encoding, samples, kept_for, stored_at
  )
  select
    device_id, asset_id, metric, unit, rate_hz, speed_rpm, ts, sample_count, encoding, samples, kept_for, %(now)s
  from unnest(
    %(device_ids)s::bigint[], %(asset_ids)s::bigint[], %(metrics)s::text[], %(units)s::text[], %(rates)s::float8[],
    %(speeds)s::float8[], %(ts)s::timestamptz[], %(sample_counts)s::integer[], %(encodings)s::text[],
    %(samples)b::bytea[], %(kept_for)s::text[]
  ) as given (device_id, asset_id, metric, unit, rate_hz, speed_rpm, ts, sample_count, encoding, samples, kept_for)
  on conflict do nothing
  returning device_id, octet_length(samples) + %(row_bytes)s as bytes
),
counted as (
  insert into waveform_usage (device_id, day, bytes)
  select device_id, %(day)s, sum(bytes)
  from new
  group by device_id
  on conflict (device_id, day) do update set bytes = waveform_usage.bytes + excluded.bytes
)
select count(*) from new

-- name: waveforms
-- Blocks of an asset without their samples, the newest stored first.
select waveform.id, waveform.device_id, device.name, waveform.asset_id, device.site_id, waveform.metric, waveform.unit,
       waveform.rate_hz, waveform.speed_rpm, waveform.ts, waveform.sample_count, waveform.kept_for, waveform.stored_at
from waveform
join device on device.id = waveform.device_id
where waveform.asset_id = %(asset_id)s
  and (%(device_id)s::bigint is null or waveform.device_id = %(device_id)s)
  and (%(metric)s::text is null or waveform.metric = %(metric)s)
  and (%(before)s::bigint is null or waveform.id < %(before)s)
order by waveform.id desc
limit %(limit)s

-- name: waveform
-- One block with its samples.
select waveform.id, waveform.device_id, device.name, waveform.asset_id, device.site_id, waveform.metric, waveform.unit,
       waveform.rate_hz, waveform.speed_rpm, waveform.ts, waveform.sample_count, waveform.kept_for, waveform.stored_at,
       waveform.encoding, waveform.samples
from waveform
join device on device.id = waveform.device_id
where waveform.id = %(id)s

-- name: prune_waveforms
-- Deletes blocks stored before a time, the oldest first, at most so many.
delete from waveform
where id in (
  select id
  from waveform
  where stored_at < %(before)s
  order by stored_at
  limit %(limit)s
)

-- name: prune_usage
-- Forgets what was stored on days that are over.
delete from waveform_usage
where day < %(day)s
