-- name: wait_for_adoption
-- Wait until nobody is adopting a device, and keep others from it until this transaction ends.
select pg_advisory_xact_lock_shared(hashtext('wearsight.adoption'))

-- name: set_aside
-- Keep messages that could not be used; the same message again only adds to its count.
insert into quarantine (received_at, last_received_at, times_received, topic, payload, fingerprint, reason, detail,
                        site_name, device_name, feed_id, replay_requested_at)
select %(now)s, %(now)s, bad.times, bad.topic, bad.payload, bad.fingerprint, bad.reason, bad.detail, bad.site_name,
       bad.device_name, bad.feed_id,
       case
         when bad.reason <> 'unknown_device' then null
         when bad.feed_id is null
           and exists (select from device where site_id = bad.site_name and name = bad.device_name and feed_id is null)
           then %(now)s::timestamptz
         when exists (select from device where feed_id = bad.feed_id and feed_key = bad.device_name)
           then %(now)s::timestamptz
       end
from unnest(%(times)s::bigint[], %(topics)s::text[], %(payloads)s::bytea[], %(fingerprints)s::bytea[],
            %(reasons)s::text[], %(details)s::text[], %(site_names)s::text[], %(device_names)s::text[],
            %(feed_ids)s::integer[])
     as bad (times, topic, payload, fingerprint, reason, detail, site_name, device_name, feed_id)
on conflict (fingerprint) where replay_result is distinct from 'stored' do update
set last_received_at = excluded.last_received_at,
    times_received = quarantine.times_received + excluded.times_received,
    reason = excluded.reason,
    detail = excluded.detail,
    device_name = coalesce(excluded.device_name, quarantine.device_name)

-- name: request_replay
-- Ask for messages to be tried again; those that were stored since are left alone.
update quarantine
set replay_requested_at = %(now)s
where replay_result is distinct from 'stored'
  and (%(ids)s::bigint[] is null or id = any(%(ids)s))
  and (%(reason)s::text is null or reason = %(reason)s)
  and (%(device)s::text is null or device_name = %(device)s)
  and (%(site)s::text is null or (site_name = %(site)s and feed_id is null))
  and (%(feed_id)s::integer is null or feed_id = %(feed_id)s)
  and (%(sites)s::text[] is null or site_name = any(%(sites)s))

-- name: dismiss
-- Remove messages that wait, oldest first, and keep in the audit what each was, who removed it and why.
with chosen as (
  select id
  from quarantine
  where replay_result is distinct from 'stored'
    and (%(ids)s::bigint[] is null or id = any(%(ids)s))
    and (%(reason)s::text is null or reason = %(reason)s)
    and (%(device)s::text is null or device_name = %(device)s)
    and (%(site)s::text is null or (site_name = %(site)s and feed_id is null))
    and (%(feed_id)s::integer is null or feed_id = %(feed_id)s)
    and (%(sites)s::text[] is null or site_name = any(%(sites)s))
  order by id
  limit %(limit)s
  for update
), gone as (
  delete from quarantine
  using chosen
  where quarantine.id = chosen.id
  returning quarantine.*
)
insert into audit (at, person_id, noun, record_id, site_id, before, after)
select %(now)s, %(person_id)s, 'quarantine', gone.id::text, gone.site_name,
       jsonb_build_object('topic', gone.topic, 'reason', gone.reason, 'detail', gone.detail,
                          'device', gone.device_name, 'feed_id', gone.feed_id, 'received_at', gone.received_at,
                          'times_received', gone.times_received, 'bytes', length(gone.payload),
                          'fingerprint', encode(gone.fingerprint, 'hex')),
       jsonb_build_object('dismissed', %(why)s::text)
from gone

-- name: to_replay
-- Messages to be tried again, oldest first.
select id, topic, payload, received_at
from quarantine
where replay_requested_at is not null
  and (replayed_at is null or replayed_at < replay_requested_at)
  and (%(sites)s::text[] is null or site_name = any(%(sites)s))
  and (site_name is null or not site_name = any(%(but_not)s))
order by id
limit %(limit)s

-- name: mark_replayed
-- Note what became of messages that were tried again; one that waits for a device now says so, and for which.
update quarantine
set replayed_at = %(now)s,
    replay_result = tried.result,
    detail = case when tried.result = 'stored' then quarantine.detail else tried.detail end,
    reason = case when tried.result = 'unknown_device' then tried.result else quarantine.reason end,
    device_name = coalesce(tried.device, quarantine.device_name)
from unnest(%(ids)s::bigint[], %(results)s::text[], %(details)s::text[], %(devices)s::text[])
     as tried (id, result, detail, device)
where quarantine.id = tried.id

-- name: page
-- Messages set aside, newest first; with open_only those that have not been stored since.
select id, received_at, last_received_at, times_received, topic, length(payload), reason, detail, site_name,
       device_name, feed_id, replay_requested_at, replayed_at, replay_result
from quarantine
where (%(before)s::bigint is null or id < %(before)s)
  and (%(sites)s::text[] is null or site_name = any(%(sites)s))
  and (%(site)s::text is null or site_name = %(site)s)
  and (%(feed_id)s::integer is null or feed_id = %(feed_id)s)
  and (%(device)s::text is null or device_name = %(device)s)
  and (%(reason)s::text is null or reason = %(reason)s)
  and (not %(open_only)s or replay_result is distinct from 'stored')
order by id desc
limit %(limit)s

-- name: one
-- One message set aside.
select id, received_at, last_received_at, times_received, topic, length(payload), reason, detail, site_name,
       device_name, feed_id, replay_requested_at, replayed_at, replay_result
from quarantine
where id = %(id)s

-- name: payload
-- The bytes of one message, as they came.
select payload
from quarantine
where id = %(id)s

-- name: reason_counts
-- How many messages wait and when the newest came, by reason, most first.
select reason, count(*), max(last_received_at)
from quarantine
where replay_result is distinct from 'stored'
  and (%(sites)s::text[] is null or site_name = any(%(sites)s))
group by reason
order by count(*) desc, reason
