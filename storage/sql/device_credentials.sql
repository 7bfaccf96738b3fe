-- name: lock_owner
-- Let one at a time give the next number to what a credential is for.
select pg_advisory_xact_lock(hashtextextended('broker_credential ' || %(owner)s, 0))

-- name: next_number
-- The next number of this owner, and how many of its credentials are live.
select coalesce(max(number), 0) + 1, count(*) filter (where revoked_at is null)
from broker_credential
where owner = %(owner)s

-- name: insert_credential
-- Issue a credential to a device or to a gateway, and note who did; no hash enters the audit.
with issued as (
  insert into broker_credential (device_id, gateway_id, owner, number, bcrypt_hash, pbkdf2_hash, issued_at, issued_by)
  values (%(device_id)s, %(gateway_id)s, %(owner)s, %(number)s, %(bcrypt_hash)s, %(pbkdf2_hash)s, %(now)s,
          %(person_id)s)
  returning id, username, device_id, gateway_id
), noted as (
  insert into audit (at, person_id, noun, record_id, asset_id, site_id, before, after)
  select %(now)s, %(person_id)s, 'credential', issued.username, device.asset_id,
         coalesce(device.site_id, gateway.site_id), null,
         jsonb_strip_nulls(jsonb_build_object('device_id', issued.device_id, 'gateway_id', issued.gateway_id))
  from issued
  left join device on device.id = issued.device_id
  left join gateway on gateway.id = issued.gateway_id
)
select id, username
from issued

-- name: credentials
-- The credentials of a device or of a gateway, newest first: who issued and who revoked them, and when.
select credential.id, credential.username, credential.issued_at, issuer.login, credential.revoked_at, revoker.login
from broker_credential as credential
join person as issuer on issuer.id = credential.issued_by
left join person as revoker on revoker.id = credential.revoked_by
where (credential.device_id = %(device_id)s or credential.gateway_id = %(gateway_id)s)
  and (%(before)s::bigint is null or credential.id < %(before)s)
order by credential.id desc
limit %(limit)s

-- name: has_credential
-- Whether this device or gateway has a credential of this id, in force or not.
select exists (
  select 1
  from broker_credential
  where id = %(id)s
    and (device_id = %(device_id)s or gateway_id = %(gateway_id)s)
)

-- name: revoke_credentials
-- Revoke what a device or a gateway has in force, only the one of an id when it is given, and note who did.
with revoked as (
  update broker_credential
  set revoked_at = %(now)s,
      revoked_by = %(person_id)s
  where (%(id)s::bigint is null or id = %(id)s)
    and (device_id = %(device_id)s or gateway_id = %(gateway_id)s)
    and revoked_at is null
  returning username, device_id, gateway_id
)
insert into audit (at, person_id, noun, record_id, asset_id, site_id, before, after)
select %(now)s, %(person_id)s, 'credential', revoked.username, device.asset_id,
       coalesce(device.site_id, gateway.site_id),
       jsonb_build_object('revoked_at', null), jsonb_build_object('revoked_at', %(now)s::timestamptz)
from revoked
left join device on device.id = revoked.device_id
left join gateway on gateway.id = revoked.gateway_id
order by revoked.username

-- name: live_device_credentials
-- Every live credential of a device with the device's present address and the hashes that brokers check.
select credential.username, credential.bcrypt_hash, credential.pbkdf2_hash, device.site_id, device.name
from broker_credential as credential
join device on device.id = credential.device_id
where credential.revoked_at is null
order by credential.id

-- name: live_gateway_credentials
-- Every live credential of a gateway with its filters and the hashes that brokers check.
select credential.username, credential.bcrypt_hash, credential.pbkdf2_hash, gateway.publish, gateway.subscribe
from broker_credential as credential
join gateway on gateway.id = credential.gateway_id
where credential.revoked_at is null
  and gateway.removed_at is null
order by credential.id

-- name: revoked_usernames
-- Users that brokers with a memory of their own must be told to forget.
select username
from broker_credential
where revoked_at is not null
order by id

-- name: insert_gateway
-- Add a gateway, and note who did.
with added as (
  insert into gateway (site_id, name, publish, subscribe, created_at, created_by)
  values (%(site)s, %(name)s, %(publish)s, %(subscribe)s, %(now)s, %(person_id)s)
  on conflict do nothing
  returning id, site_id, name, publish, subscribe
), noted as (
  insert into audit (at, person_id, noun, record_id, site_id, before, after)
  select %(now)s, %(person_id)s, 'gateway', id::text, site_id, null, to_jsonb(added)
  from added
)
select id
from added

-- name: gateways
-- Gateways with the number of their live credentials, by id, limited to those asked for.
select gateway.id, gateway.site_id, gateway.name, gateway.publish, gateway.subscribe, gateway.created_at,
       creator.login, live.credentials
from gateway
join person as creator on creator.id = gateway.created_by
cross join lateral (
  select count(*) as credentials
  from broker_credential
  where broker_credential.gateway_id = gateway.id
    and revoked_at is null
) as live
where gateway.removed_at is null
  and (%(sites)s::text[] is null or gateway.site_id = any(%(sites)s))
  and (%(id)s::bigint is null or gateway.id = %(id)s)
  and (%(site)s::text is null or gateway.site_id = %(site)s)
  and (%(state)s::text is null or (live.credentials > 0) = (%(state)s = 'in_force'))
  and gateway.id > %(after)s
order by gateway.id
limit %(limit)s

-- name: remove_gateway
-- Remove a gateway, and note who did; the record stays for who looks back.
with removed as (
  update gateway
  set removed_at = %(now)s,
      removed_by = %(person_id)s
  where id = %(id)s
    and removed_at is null
  returning id, site_id, name, publish, subscribe
)
insert into audit (at, person_id, noun, record_id, site_id, before, after)
select %(now)s, %(person_id)s, 'gateway', id::text, site_id, to_jsonb(removed), null
from removed

-- name: listen_for_broker_access
-- Have this connection told when the broker's users change.
listen wearsight_broker_access
