-- Sparkplug B (SPEC E3): what births have told is kept, so that an ingester that starts again can read on.

-- An edge node: its session, and the sequence number that is expected next.
create table sparkplug_node (
  id bigint generated always as identity primary key,
  feed_id integer not null references feed on delete cascade,
  group_name text not null,
  edge text not null,
  -- bdSeq of the birth: only a death of the same number ends this session.
  birth_number numeric(20),
  -- When it was born by its own clock, microseconds since 1970.
  born_us bigint,
  heard_at timestamptz not null,
  next_sequence smallint check (next_sequence between 0 and 255),
  unique (feed_id, group_name, edge)
);

-- The edge node itself (device '') and the devices behind it.
create table sparkplug_unit (
  node_id bigint not null references sparkplug_node on delete cascade,
  device text not null,
  is_born boolean not null,
  -- Time, by the node's clock, of the oldest message that waits for a birth to be read.
  asked_us bigint,
  primary key (node_id, device)
);

-- A metric as the newest birth of its unit declares it; it holds for what was sent since then.
create table sparkplug_metric (
  node_id bigint not null,
  device text not null,
  name text not null,
  alias numeric(20),
  datatype smallint not null,
  unit text,
  since_us bigint not null,
  primary key (node_id, device, name),
  foreign key (node_id, device) references sparkplug_unit on delete cascade
);
create unique index one_metric_of_alias on sparkplug_metric (node_id, alias) where alias is not null;

-- A birth looks for what waited for it.
create index quarantine_waits_for_birth on quarantine (topic) where reason = 'unknown_alias';
