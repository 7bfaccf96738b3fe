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

-- name: save_states
-- Save the state of devices.
insert into checkpoint (partition, device_id, layout, state, updated_at)
select %(partition)s, saved.device_id, %(layout)s, saved.state, %(now)s
from unnest(%(device_ids)s::bigint[], %(states)s::bytea[]) as saved (device_id, state)
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
