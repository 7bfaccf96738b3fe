-- Who may publish what at the broker: credentials of devices and of gateways (SPEC E2). Only hashes of secrets are kept.

-- A client that speaks for many devices, on the topics of feeds or of its own site.
create table gateway (
  id bigint generated always as identity primary key,
  site_id text not null references site,
  name text not null check (name ~ '^[A-Za-z0-9_-]{1,64}$'),
  -- MQTT filters, checked when they are saved (domain/broker_grants.py).
  publish text[] not null,
  subscribe text[] not null,
  created_at timestamptz not null,
  created_by bigint not null references person,
  removed_at timestamptz,
  removed_by bigint references person,
  check ((removed_at is null) = (removed_by is null)),
  check (cardinality(publish) <= 20 and cardinality(subscribe) <= 20)
);
create unique index one_gateway_of_a_name on gateway (site_id, name) where removed_at is null;

create table broker_credential (
  id bigint generated always as identity primary key,
  device_id bigint references device on delete cascade,
  gateway_id bigint references gateway,
  -- Readable: what it was issued for, and a number that grows.
  owner text not null,
  number integer not null check (number > 0),
  username text not null unique generated always as (owner || '.' || number::text) stored,
  -- The same secret twice, as brokers ask for it: bcrypt for NATS, PBKDF2-SHA512 for Mosquitto and EMQX.
  bcrypt_hash text not null check (bcrypt_hash like '$2_$%'),
  pbkdf2_hash text not null check (pbkdf2_hash like '$7$%'),
  issued_at timestamptz not null,
  issued_by bigint not null references person,
  revoked_at timestamptz,
  revoked_by bigint references person,
  unique (owner, number),
  check (num_nonnulls(device_id, gateway_id) = 1),
  check ((revoked_at is null) = (revoked_by is null))
);
create index broker_credential_of_device on broker_credential (device_id, id);
create index broker_credential_of_gateway on broker_credential (gateway_id, id);

-- Whoever keeps a broker's users is told when they change: by a credential, by an address, by the topics of a feed.
create function announce_broker_access() returns trigger language plpgsql as $$
begin
  perform pg_notify('wearsight_broker_access', '');
  return null;
end
$$;
create trigger broker_credential_is_announced after insert or delete or update of revoked_at on broker_credential
  for each statement execute function announce_broker_access();
create trigger gateway_access_is_announced after update of publish, subscribe, removed_at on gateway
  for each statement execute function announce_broker_access();
create trigger device_address_is_announced after update of site_id, name on device
  for each statement execute function announce_broker_access();
create trigger feed_topic_is_announced after insert or delete or update of topic, enabled on feed
  for each statement execute function announce_broker_access();
