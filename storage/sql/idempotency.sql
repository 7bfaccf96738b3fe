-- name: claim
-- Take a key for this request. A second request with it waits here for the first one's transaction.
insert into idempotency (person_id, key, request_hash, status, body, created_at)
values (%(person_id)s, %(key)s, %(request_hash)s, 0, 'null', %(now)s)
on conflict (person_id, key) do nothing
returning key

-- name: kept
-- The answer kept for a key.
select request_hash, status, body
from idempotency
where person_id = %(person_id)s
  and key = %(key)s

-- name: keep
-- Keep the answer of the request that holds the key.
update idempotency
set status = %(status)s, body = %(body)s
where person_id = %(person_id)s
  and key = %(key)s

-- name: forget
-- Drop the person's keys that are too old to be repeated.
delete from idempotency
where person_id = %(person_id)s
  and created_at < %(before)s
