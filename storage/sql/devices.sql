-- name: devices
-- Every device with what ingest must know of it; those of these ids when they are given.
select device.id, device.site_id, device.name, device.asset_id, asset.asset_type_id, device.time_policy,
       device.expected_interval_s, device.last_sequence, device.last_reading_at, device.feed_id, device.feed_key,
       device.sequences_ahead
from device
join asset on asset.id = device.asset_id
where %(ids)s::bigint[] is null
   or device.id = any(%(ids)s)
order by device.id

-- name: devices_at
-- The ids of the devices at these addresses: on the native topics, where those of a feed do not speak, and on feeds.
select id
from device
where (site_id, name) in (select * from unnest(%(site_ids)s::text[], %(names)s::text[]))
  and feed_id is null
union
select id
from device
where (feed_id, feed_key) in (select * from unnest(%(feed_ids)s::integer[], %(feed_keys)s::text[]))
order by id

-- name: newest_events_of_devices
-- When the newest event of each of these devices happened, by the device's clock.
select wanted.device_id, (select max(event.ts) from event where event.device_id = wanted.device_id)
from unnest(%(device_ids)s::bigint[]) as wanted (device_id)

-- name: series_of_devices
-- The series of these devices.
select device_id, metric, id
from series
where device_id = any(%(device_ids)s)
order by id

-- name: create_series
-- Make the series that are missing.
insert into series (device_id, metric, created_at)
select wanted.device_id, wanted.metric, %(now)s
from unnest(%(device_ids)s::bigint[], %(metrics)s::text[]) as wanted (device_id, metric)
where not exists (
  select
  from series
  where series.device_id = wanted.device_id
    and series.metric = wanted.metric
)
on conflict do nothing

-- name: anchors_of_assets
-- When the baselines of these assets' metrics start anew, in microseconds since 1970.
select asset_id, metric, (extract(epoch from anchored_at) * 1000000)::bigint
from anchor
where asset_id = any(%(asset_ids)s)

-- name: record_presence
-- Note what a batch told about each device: seen when, newest reading, sequence numbers, online, held or not, clock.
update device
set last_seen_at = greatest(device.last_seen_at, heard.seen_at),
    last_reading_at = greatest(device.last_reading_at, heard.reading_at),
    last_sequence = coalesce(heard.last_sequence, device.last_sequence),
    online = coalesce(heard.online, device.online),
    held = heard.held,
    sequences_ahead = coalesce(heard.sequences_ahead::bigint[], device.sequences_ahead),
    clock_ahead_s = coalesce(heard.clock_ahead_s, device.clock_ahead_s),
    clock_seen_at = case when heard.clock_ahead_s is null then device.clock_seen_at else heard.seen_at end
from unnest(%(device_ids)s::bigint[], %(seen_at)s::timestamptz[], %(reading_at)s::timestamptz[],
            %(last_sequences)s::bigint[], %(online)s::boolean[], %(held)s::boolean[], %(sequences_ahead)s::text[],
            %(clock_ahead_s)s::double precision[])
     as heard (device_id, seen_at, reading_at, last_sequence, online, held, sequences_ahead, clock_ahead_s)
where device.id = heard.device_id

-- name: release_devices
-- Note that the detectors have seen all that is stored of these devices.
update device
set held = false
where id = any(%(device_ids)s)
  and held

-- name: gaps_of_devices
-- The stretches of sequence numbers that these devices' messages miss, the newest of each device.
select device_id, after_sequence, before_sequence
from (
  select device_id, after_sequence, before_sequence,
         row_number() over (partition by device_id order by after_sequence desc) as place
  from sequence_gap
  where device_id = any(%(device_ids)s)
) as ranked
where place <= %(limit)s
order by device_id, after_sequence

-- name: remove_gaps
-- Forget gaps that were filled, whole or in part.
delete from sequence_gap
using unnest(%(device_ids)s::bigint[], %(after)s::bigint[], %(before)s::bigint[]) as filled (device_id, after, before)
where sequence_gap.device_id = filled.device_id
  and sequence_gap.after_sequence = filled.after
  and sequence_gap.before_sequence = filled.before

-- name: insert_gaps
-- Report gaps.
insert into sequence_gap (device_id, after_sequence, before_sequence, missing, seen_at)
select seen.device_id, seen.after, seen.before, seen.before - seen.after - 1, %(now)s
from unnest(%(device_ids)s::bigint[], %(after)s::bigint[], %(before)s::bigint[]) as seen (device_id, after, before)
on conflict do nothing

-- name: listen
-- Have the server tell this connection when devices, assets or rules change.
listen wearsight_registration
