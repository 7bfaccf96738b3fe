-- name: begin_adoption
-- Wait for messages being set aside, and keep new ones waiting until this transaction ends.
select pg_advisory_xact_lock(hashtext('wearsight.adoption'))

-- name: unknown_devices
-- Who sends without being registered, with what waits of it, whoever came last first.
select min(quarantine.id), quarantine.site_name, quarantine.feed_id, feed.name, quarantine.device_name, count(*),
       min(quarantine.received_at), max(quarantine.last_received_at),
       (array_agg(quarantine.topic order by quarantine.last_received_at desc, quarantine.id desc))[1]
from quarantine
left join feed on feed.id = quarantine.feed_id
where quarantine.reason = 'unknown_device'
  and quarantine.replay_result is distinct from 'stored'
  and quarantine.device_name is not null
  and (%(sites)s::text[] is null or quarantine.site_name = any(%(sites)s))
  and (%(site)s::text is null or quarantine.site_name = %(site)s)
group by quarantine.site_name, quarantine.feed_id, feed.name, quarantine.device_name
having %(before)s::bigint is null or min(quarantine.id) < %(before)s
order by 1 desc
limit %(limit)s
