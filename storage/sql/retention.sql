-- name: lock_for_retention
-- Keep the refresher away until this connection lets go, or is gone.
select pg_advisory_lock(7306003)

-- name: unlock_for_retention
-- Let the refresher go on.
select pg_advisory_unlock(7306003)

-- name: has_marks
-- Whether a rollup of [first, after) is still to be computed.
select exists (
  select
  from rollup_due
  where from_ts > %(first)s::timestamptz - interval '1 day'
    and from_ts < %(after)s
    and to_ts > %(first)s
)

-- name: first_mark
-- The beginning of the oldest stretch that a rollup is still to be computed for.
select min(from_ts)
from rollup_due

-- name: not_kept_before
-- Note that a level may be incomplete before a time.
update level_kept
set kept_from = greatest(kept_from, %(kept_from)s)
where level = %(level)s

-- name: levels
-- Each level with its size in bytes, and since when it is complete, null where nothing was dropped.
select level_size.level, level_size.bytes, nullif(level_kept.kept_from, '-infinity')
from level_size
join level_kept on level_kept.level = level_size.level

-- name: drop_chunks
-- Drop the chunks that end before a time.
select drop_chunks({relation}, older_than => {before})::text

-- name: delete_days
-- Delete daily rollups, where they are a plain table.
delete from reading_1d
where bucket < %(before)s

-- name: set_policies
-- The retention policies that TimescaleDB was last given, by level.
select level, policy_days
from level_kept

-- name: remove_policy
-- Take TimescaleDB's retention policy away.
select remove_retention_policy({relation}, if_exists => true)

-- name: add_policy
-- Give TimescaleDB a retention policy.
select add_retention_policy({relation}, drop_after => {after}, if_not_exists => true)

-- name: note_policy
-- Note the retention policy that TimescaleDB was given.
update level_kept
set policy_days = %(days)s
where level = %(level)s

-- name: prune_event
-- Delete the events that were received before a time, some at once.
delete from event
where id in (
  select id
  from event
  where received_at < %(before)s
  order by id
  limit %(limit)s
)

-- name: prune_stored_quarantine
-- Delete messages that a replay has stored before a time, some at once.
delete from quarantine
where id in (
  select id
  from quarantine
  where replay_result = 'stored'
    and replayed_at < %(before)s
  order by id
  limit %(limit)s
)

-- name: prune_delivery_attempt
-- Delete attempts from before a time at deliveries that are over, some at once.
delete from delivery_attempt
where (outbox_id, number, channel) in (
  select delivery_attempt.outbox_id, delivery_attempt.number, delivery_attempt.channel
  from delivery_attempt
  join outbox on outbox.id = delivery_attempt.outbox_id
  where delivery_attempt.at < %(before)s
    and (outbox.done_at is not null or outbox.given_up_at is not null)
  limit %(limit)s
)

-- name: prune_idempotency
-- Delete answers that are too old to be asked for again, some at once.
delete from idempotency
where (person_id, key) in (
  select person_id, key
  from idempotency
  where created_at < %(before)s
  limit %(limit)s
)
