-- name: set_aside
-- Keep messages that could not be used; the same message again only adds to its count.
insert into quarantine (received_at, last_received_at, times_received, topic, payload, fingerprint, reason, detail,
                        site_name, device_name)
select %(now)s, %(now)s, bad.times, bad.topic, bad.payload, bad.fingerprint, bad.reason, bad.detail, bad.site_name,
       bad.device_name
from unnest(%(times)s::bigint[], %(topics)s::text[], %(payloads)s::bytea[], %(fingerprints)s::bytea[],
            %(reasons)s::text[], %(details)s::text[], %(site_names)s::text[], %(device_names)s::text[])
     as bad (times, topic, payload, fingerprint, reason, detail, site_name, device_name)
on conflict (fingerprint) where replay_result is distinct from 'stored' do update
set last_received_at = excluded.last_received_at,
    times_received = quarantine.times_received + excluded.times_received,
    reason = excluded.reason,
    detail = excluded.detail

-- name: request_replay
-- Ask for messages to be tried again, by id or by reason; those that were stored since are left alone.
update quarantine
set replay_requested_at = %(now)s
where replay_result is distinct from 'stored'
  and (%(ids)s::bigint[] is null or id = any(%(ids)s))
  and (%(reason)s::text is null or reason = %(reason)s)

-- name: to_replay
-- Messages to be tried again, oldest first.
select id, topic, payload, received_at
from quarantine
where replay_requested_at is not null
  and (replayed_at is null or replayed_at < replay_requested_at)
order by id
limit %(limit)s

-- name: mark_replayed
-- Note what became of messages that were tried again.
update quarantine
set replayed_at = %(now)s,
    replay_result = tried.result,
    detail = case when tried.result = 'stored' then quarantine.detail else tried.detail end
from unnest(%(ids)s::bigint[], %(results)s::text[], %(details)s::text[]) as tried (id, result, detail)
where quarantine.id = tried.id

-- name: page
-- Messages set aside, newest first; with open_only those that have not been stored since.
select id, received_at, last_received_at, times_received, topic, length(payload), reason, detail, site_name,
       device_name, replay_requested_at, replayed_at, replay_result
from quarantine
where (%(before)s::bigint is null or id < %(before)s)
  and (%(reason)s::text is null or reason = %(reason)s)
  and (not %(open_only)s or replay_result is distinct from 'stored')
order by id desc
limit %(limit)s

-- name: one
-- One message set aside.
select id, received_at, last_received_at, times_received, topic, length(payload), reason, detail, site_name,
       device_name, replay_requested_at, replayed_at, replay_result
from quarantine
where id = %(id)s

-- name: payload
-- The bytes of one message, as they came.
select payload
from quarantine
where id = %(id)s

-- name: open_counts
-- How many messages wait, by reason.
select reason, count(*)
from quarantine
where replay_result is distinct from 'stored'
group by reason
order by reason
