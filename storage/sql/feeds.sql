-- name: feeds
-- Feeds in the order of their ids, limited to those asked for.
select id, name, site_id, topic, decoder, settings, enabled, silent_after_s, last_message_at
from feed
where id > %(after)s
  and (%(id)s::bigint is null or id = %(id)s)
  and (%(sites)s::text[] is null or site_id = any(%(sites)s))
  and (%(site)s::text is null or site_id = %(site)s)
order by id
limit %(limit)s

-- name: has_site
-- A row when there is this site.
select 1
from site
where id = %(site)s

-- name: lock_feeds
-- One at a time changes feeds; the lock ends with the transaction.
select pg_advisory_xact_lock(7306009)

-- name: insert_feed
-- Add a feed.
insert into feed (name, site_id, topic, decoder, settings, enabled, silent_after_s, created_at)
values (%(name)s, %(site)s, %(topic)s, %(decoder)s, %(settings)s, %(enabled)s, %(silent_after_s)s, %(now)s)
returning id, name, site_id, topic, decoder, settings, enabled, silent_after_s, last_message_at

-- name: update_feed
-- Replace what is said about a feed.
update feed
set name = %(name)s,
    site_id = %(site)s,
    topic = %(topic)s,
    decoder = %(decoder)s,
    settings = %(settings)s,
    enabled = %(enabled)s,
    silent_after_s = %(silent_after_s)s
where id = %(id)s
returning id, name, site_id, topic, decoder, settings, enabled, silent_after_s, last_message_at

-- name: count_bound_devices
-- How many devices have their address on a feed.
select count(*)
from device
where feed_id = %(id)s

-- name: delete_feed
-- Remove a feed.
delete from feed
where id = %(id)s

-- name: note_messages
-- Note that messages of these feeds came.
update feed
set last_message_at = greatest(last_message_at, %(now)s)
where id = any(%(ids)s)
