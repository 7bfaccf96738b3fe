-- Other dialects than our own come by feeds; clocks, receipts and positions make them as trustworthy as the native one.

-- A feed: the topics of one MQTT filter, spoken in one dialect, belonging to one site (SPEC E3).
create table feed (
  id integer generated always as identity primary key,
  name text not null unique check (name ~ '^[A-Za-z0-9_-]{1,64}$'),
  site_id text not null references site,
  topic text not null unique check (length(topic) between 1 and 512),
  decoder text not null,
  settings jsonb not null default '{}',
  enabled boolean not null default true,
  -- Silence of the whole feed for so long raises an alarm; null where silence means nothing.
  silent_after_s double precision check (silent_after_s > 0),
  last_message_at timestamptz,
  created_at timestamptz not null
);

-- How a feed calls this device; (feed, key) is its address there, as (site, name) is on the native topics.
alter table device
  add column feed_id integer references feed,
  add column feed_key text check (length(feed_key) between 1 and 256),
  -- Seconds that the device's clock is ahead of ours (negative: behind), estimated from live messages.
  add column clock_ahead_s double precision,
  add column clock_seen_at timestamptz,
  -- Sequence numbers heard on the alarms' lane ahead of the telemetry before them.
  add column sequences_ahead bigint[] not null default '{}',
  add constraint device_address_on_feed unique (feed_id, feed_key),
  add constraint device_feed_whole check ((feed_id is null) = (feed_key is null));

alter table quarantine add column feed_id integer references feed on delete set null;

-- When a message that carries no time of its own was first received, so that its redelivery gets the same time.
create table receipt (
  fingerprint bytea primary key,
  received_at timestamptz not null
);
create index receipt_by_age on receipt (received_at);

-- The position of a source that has positions (an offset of a log), moved in the transaction that stores the batch.
alter table checkpoint_fence
  add column position bigint,
  -- The owner's session at the database, so that whoever takes over can end it.
  add column backend integer,
  add column backend_started timestamptz;
create index checkpoint_of_device on checkpoint (device_id);

create trigger feed_is_announced after insert or delete or update of site_id, topic, decoder, settings, enabled on feed
  for each statement execute function announce_registration();
create trigger device_feed_is_announced after update of feed_id, feed_key on device
  for each statement execute function announce_registration();
