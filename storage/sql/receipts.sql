-- name: receipts
-- When messages with these fingerprints were received.
select fingerprint, received_at
from receipt
where fingerprint = any(%(fingerprints)s::bytea[])

-- name: keep_receipts
-- Note when messages were received; times only grow.
insert into receipt (fingerprint, received_at)
select fingerprint, received_at
from unnest(%(fingerprints)s::bytea[], %(received_at)s::timestamptz[]) as come (fingerprint, received_at)
on conflict (fingerprint) do update
set received_at = greatest(receipt.received_at, excluded.received_at)

-- name: prune_receipts
-- Forget old receipts, except of messages in quarantine: their replay needs the same time.
delete from receipt
where received_at < %(before)s
  and not exists (
    select
    from quarantine
    where quarantine.fingerprint = receipt.fingerprint
      and quarantine.replay_result is distinct from 'stored'
  )
