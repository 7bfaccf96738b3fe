-- The asset register, the devices that speak for assets, and what they say beside readings.

create table area (
  id bigint generated always as identity primary key,
  site_id text not null references site,
  name text not null,
  unique (site_id, name)
);

create table asset_type (
  id text primary key check (id ~ '^[a-z0-9_-]{1,64}$'),
  name_en text not null,
  name_zh text not null
);

create table asset (
  id bigint generated always as identity primary key,
  site_id text not null references site,
  area_id bigint references area,
  asset_type_id text not null references asset_type,
  tag text not null check (tag ~ '^[A-Za-z0-9_.-]{1,64}$'),
  name text not null,
  serial_number text,
  criticality smallint not null default 3 check (criticality between 1 and 5),
  latitude double precision check (latitude between -90 and 90),
  longitude double precision check (longitude between -180 and 180),
  requester_id bigint references person,
  commissioned_at timestamptz,
  created_at timestamptz not null,
  unique (site_id, tag)
);

-- When a maintainable item of an asset was last fitted; its age is evidence (SPEC P2).
create table component_installation (
  asset_id bigint not null references asset,
  component text not null,
  installed_at timestamptz not null,
  source text not null check (source in ('import', 'event', 'ticket')),
  primary key (asset_id, component, installed_at)
);

-- After a repair these metrics of the asset start a new baseline with the first reading at or after anchored_at.
create table anchor (
  asset_id bigint not null references asset,
  metric text not null,
  anchored_at timestamptz not null,
  primary key (asset_id, metric)
);

create table device (
  id bigint generated always as identity primary key,
  site_id text not null references site,
  name text not null check (name ~ '^[A-Za-z0-9_-]{1,64}$'),
  asset_id bigint not null references asset,
  -- live: readings must lie within [now - 7 d, now + 5 min]. recorded: a replay or an import, any past time.
  time_policy text not null default 'live' check (time_policy in ('live', 'recorded')),
  expected_interval_s double precision check (expected_interval_s > 0),
  online boolean,
  last_seen_at timestamptz,
  last_reading_at timestamptz,
  last_sequence bigint,
  -- Readings of it are stored that the detectors have not seen: they wait to be read back in time order.
  held boolean not null default false,
  created_at timestamptz not null,
  unique (site_id, name)
);
create index device_of_asset on device (asset_id);

create table series (
  id integer generated always as identity primary key,
  device_id bigint not null references device,
  metric text not null check (length(metric) between 1 and 128),
  unit text,
  created_at timestamptz not null,
  unique (device_id, metric)
);

-- Events are input of equal rank (SPEC E9). The fingerprint makes redelivery harmless.
create table event (
  id bigint generated always as identity primary key,
  device_id bigint not null references device,
  asset_id bigint not null references asset,
  ts timestamptz not null,
  kind text not null check (kind in ('error', 'state', 'operator', 'counter')),
  code text not null check (length(code) between 1 and 128),
  severity text not null check (severity in ('info', 'warning', 'error', 'critical')),
  text text not null default '',
  attributes jsonb not null default '{}',
  fingerprint bytea not null,
  received_at timestamptz not null,
  unique (device_id, ts, fingerprint)
);
create index event_of_asset on event (asset_id, ts desc);

-- What could not be used, whole and with its reason (SPEC E5). Kept until replayed, and after. The same bytes on the
-- same topic are one row with a count: a redelivery adds nothing, and a device stuck on one bad message fills no disk.
create table quarantine (
  id bigint generated always as identity primary key,
  received_at timestamptz not null,
  last_received_at timestamptz not null,
  times_received bigint not null default 1 check (times_received > 0),
  topic text not null,
  payload bytea not null,
  fingerprint bytea not null,
  reason text not null,
  detail text not null,
  site_name text,
  device_name text,
  replay_requested_at timestamptz,
  replayed_at timestamptz,
  -- 'stored', or the reason why the replay failed too.
  replay_result text
);
create unique index one_quarantined_message on quarantine (fingerprint) where replay_result is distinct from 'stored';
create index quarantine_open on quarantine (received_at) where replayed_at is null;
create index quarantine_to_replay on quarantine (id)
  where replay_requested_at is not null and (replayed_at is null or replayed_at < replay_requested_at);

-- Stretches of sequence numbers that never arrived: those strictly between the two. A row goes when it is filled.
create table sequence_gap (
  id bigint generated always as identity primary key,
  device_id bigint not null references device,
  after_sequence bigint not null,
  before_sequence bigint not null,
  missing bigint not null check (missing > 0),
  seen_at timestamptz not null,
  unique (device_id, after_sequence, before_sequence)
);

-- One ingester per partition: the fence grows with each owner, and a writer that holds an older one is refused.
create table checkpoint_fence (
  partition text primary key,
  fence bigint not null,
  owner text not null,
  taken_at timestamptz not null,
  -- Written every second by a healthy owner: when, the newest message it stored, and what waits.
  beat_at timestamptz,
  processed_at timestamptz,
  queued integer,
  held_devices integer,
  settled boolean
);

-- The detectors' state of one device, written in the transaction that stores the readings it has seen. It may be older
-- than the newest readings: whoever takes over reads on from there in the table of readings.
create table checkpoint (
  partition text not null references checkpoint_fence,
  device_id bigint not null references device,
  layout text not null,
  state bytea not null,
  updated_at timestamptz not null,
  primary key (partition, device_id)
);
