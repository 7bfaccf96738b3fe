-- name: let_go_when_idle
-- Have the server end this session, and free what it has locked, when its client falls silent within a transaction.
select set_config('idle_in_transaction_session_timeout', %(milliseconds)s::text, false)

-- name: end_former_owner
-- End the session of the partition's owner: frozen in the middle of a copy it would keep its locks for ever.
select pg_terminate_backend(activity.pid, 5000)
from checkpoint_fence
join pg_stat_activity as activity on activity.pid = checkpoint_fence.backend
  and activity.backend_start = checkpoint_fence.backend_started
where checkpoint_fence.partition = %(partition)s
  and activity.pid <> pg_backend_pid()

-- name: note_session
-- Note which session the owner of a partition has now; an ousted owner changes nothing.
update checkpoint_fence
set backend = activity.pid,
    backend_started = activity.backend_start
from pg_stat_activity as activity
where activity.pid = pg_backend_pid()
  and checkpoint_fence.partition = %(partition)s
  and checkpoint_fence.fence = %(fence)s

-- name: take_fence
-- Become the one writer of a partition: whoever held a smaller fence is refused from now on.
insert into checkpoint_fence (partition, fence, owner, taken_at)
values (%(partition)s, 1, %(owner)s, %(now)s)
on conflict (partition) do update
set fence = checkpoint_fence.fence + 1,
    owner = excluded.owner,
    taken_at = excluded.taken_at
returning fence

-- name: hold_fence
-- The fence in force; a new owner waits until this transaction ends.
select fence, owner
from checkpoint_fence
where partition = %(partition)s
for share

-- name: states
-- The saved state of these devices, with its layout.
select device_id, layout, state
from checkpoint
where partition = %(partition)s
  and device_id = any(%(device_ids)s)
  and layout <> ''

-- name: count_own
-- How many of these devices belong to the partition.
select count(*)
from checkpoint
where partition = %(partition)s
  and device_id = any(%(device_ids)s)

-- name: owned_devices
-- The devices that belong to a partition.
select device_id
from checkpoint
where partition = %(partition)s

-- name: claim_in_turn
-- One claim after the other; writing batches takes no part in it.
select pg_advisory_xact_lock(hashtextextended('checkpoint.claim', 0))

-- name: hold_former_fences
-- Wait for the transactions of those who have these devices, and keep them from beginning others until we are done.
select partition
from checkpoint_fence
where partition in (
  select partition
  from checkpoint
  where device_id = any(%(device_ids)s)
    and partition <> %(partition)s
)
order by partition
for update

-- name: take_devices
-- Move devices from other partitions, each with its newest state.
update checkpoint
set partition = %(partition)s
from (
  select distinct on (device_id) device_id, partition
  from checkpoint
  where device_id = any(%(device_ids)s)
  order by device_id, updated_at desc
) as newest
where checkpoint.device_id = newest.device_id
  and checkpoint.partition = newest.partition
  and newest.partition <> %(partition)s
  and not exists (
    select
    from checkpoint as own
    where own.partition = %(partition)s
      and own.device_id = checkpoint.device_id
  )

-- name: drop_doubles
-- A device has one owner.
delete from checkpoint
where device_id = any(%(device_ids)s)
  and partition <> %(partition)s

-- name: own_devices
-- Own devices of which no state was saved yet.
insert into checkpoint (partition, device_id, layout, state, updated_at)
select fence.partition, device.id, '', '', fence.taken_at
from checkpoint_fence as fence
cross join device
where fence.partition = %(partition)s
  and device.id = any(%(device_ids)s)
on conflict do nothing

-- name: registered_sites
-- Every site.
select id
from site
order by id

-- name: sites_heard
-- Sites whose partition is listening (settled since its owner began) and whose devices nobody else has any more.
select wanted.site
from unnest(%(sites)s::text[], %(partitions)s::text[]) as wanted (site, partition)
join checkpoint_fence as fence on fence.partition = wanted.partition
where fence.settled
  and fence.beat_at >= fence.taken_at
  and fence.beat_at >= %(since)s
  and not exists (
    select
    from device
    join checkpoint on checkpoint.device_id = device.id
    where device.site_id = wanted.site
      and checkpoint.partition <> wanted.partition
  )

-- name: stored_position
-- Where the source stood after the last batch that was stored.
select position
from checkpoint_fence
where partition = %(partition)s

-- name: advance
-- Move the position, unless another owner has; moving it twice to one place is harmless.
update checkpoint_fence
set position = %(to_position)s
where partition = %(partition)s
  and fence = %(fence)s
  and (position is not distinct from %(from_position)s or position = %(to_position)s)

-- name: save_states
-- Save the state of devices.
insert into checkpoint (partition, device_id, layout, state, updated_at)
select %(partition)s, saved.device_id, %(layout)s, saved.state, %(now)s
from unnest(%(device_ids)s::bigint[], %(states)b::bytea[]) as saved (device_id, state)
on conflict (partition, device_id) do update
set layout = excluded.layout,
    state = excluded.state,
    updated_at = excluded.updated_at

-- name: beat
-- Note that the owner of a partition is alive and how it does; an ousted owner changes nothing.
update checkpoint_fence
set beat_at = %(now)s,
    processed_at = coalesce(%(processed_at)s, processed_at),
    queued = %(queued)s,
    held_devices = %(held_devices)s,
    settled = %(settled)s
where partition = %(partition)s
  and fence = %(fence)s

-- name: beats
-- How every ingester does.
select partition, owner, beat_at, processed_at, queued, held_devices, settled
from checkpoint_fence
order by partition
