-- name: insert_events
-- Store events that are not there yet, and have the desk judge the assets of those.
with stored as (
  insert into event (device_id, asset_id, ts, kind, code, severity, text, attributes, fingerprint, received_at)
  select heard.device_id, heard.asset_id, heard.ts, heard.kind, heard.code, heard.severity, heard.text,
         heard.attributes, heard.fingerprint, %(now)s
  from unnest(%(device_ids)s::bigint[], %(asset_ids)s::bigint[], %(ts)s::timestamptz[], %(kinds)s::text[],
              %(codes)s::text[], %(severities)s::text[], %(texts)s::text[], %(attributes)s::jsonb[],
              %(fingerprints)s::bytea[])
       as heard (device_id, asset_id, ts, kind, code, severity, text, attributes, fingerprint)
  on conflict (device_id, ts, fingerprint) do nothing
  returning asset_id, ts
), judged as (
  insert into evidence_due (asset_id, ts)
  select distinct asset_id, ts
  from stored
)
select count(*)
from stored

-- name: newest_of_device
-- The newest events of a device by its own times, read backwards along the key that keeps each of them single.
select event.ts, event.kind, event.code, event.severity, event.text, event.attributes
from event
where event.device_id = %(device_id)s
order by event.ts desc
limit %(limit)s

-- name: judge_again
-- Put the events of these assets before the desk once more, from each asset's own time on.
insert into evidence_due (asset_id, ts)
select distinct event.asset_id, event.ts
from unnest(%(asset_ids)s::bigint[], %(since)s::timestamptz[]) as changed (asset_id, since)
join event on event.asset_id = changed.asset_id
  and event.ts >= changed.since
