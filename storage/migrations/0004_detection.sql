-- Rules, the findings they raise, the failure-mode library, and the predictions that fusion makes of it all.

-- A version of a rule is never changed. The rule in force is its highest version.
create table rule (
  id bigint generated always as identity primary key,
  name text not null check (name ~ '^[a-z0-9_.-]{1,64}$'),
  version integer not null check (version > 0),
  asset_type_id text references asset_type,
  metric text not null,
  detector text not null,
  parameters jsonb not null,
  severity text not null check (severity in ('low', 'medium', 'high', 'critical')),
  mode text not null check (mode in ('off', 'shadow', 'review', 'auto')),
  created_at timestamptz not null,
  unique (name, version)
);

create table finding (
  id uuid primary key,
  rule_id bigint not null references rule,
  series_id integer not null references series,
  asset_id bigint not null references asset,
  metric text not null,
  detector text not null,
  direction text not null check (direction in ('up', 'down', 'none')),
  severity text not null check (severity in ('low', 'medium', 'high', 'critical')),
  shadow boolean not null,
  opened_at timestamptz not null,
  cleared_at timestamptz,
  value double precision not null,
  score double precision not null,
  limit_value double precision not null,
  evidence jsonb not null,
  recorded_at timestamptz not null,
  unique (series_id, rule_id, opened_at)
);
create index finding_of_asset on finding (asset_id, opened_at desc);

create table failure_mode (
  id bigint generated always as identity primary key,
  asset_type_id text not null references asset_type,
  code text not null check (code ~ '^[a-z0-9_.-]{1,64}$'),
  name_en text not null,
  name_zh text not null,
  effect_en text not null,
  effect_zh text not null,
  severity smallint not null check (severity between 1 and 10),
  component text not null,
  prior double precision not null check (prior > 0 and prior < 1),
  watch_probability double precision not null,
  ticket_probability double precision not null,
  window_from_h double precision not null check (window_from_h >= 0),
  window_to_h double precision not null,
  skills text[] not null,
  tasks jsonb not null,
  signature jsonb not null,
  unique (asset_type_id, code),
  check (0 < watch_probability and watch_probability < ticket_probability and ticket_probability < 1),
  check (window_from_h < window_to_h)
);

create table part (
  id bigint generated always as identity primary key,
  number text not null unique,
  name_en text not null,
  name_zh text not null,
  unit text not null default 'piece'
);

create table failure_mode_part (
  failure_mode_id bigint not null references failure_mode on delete cascade,
  part_id bigint not null references part,
  quantity integer not null check (quantity > 0),
  probability double precision not null check (probability > 0 and probability <= 1),
  primary key (failure_mode_id, part_id)
);

-- Evidence waiting to be judged. The desk deletes a row in the transaction that stores what it made of it.
create table evidence_due (
  id bigint generated always as identity primary key,
  asset_id bigint not null references asset,
  ts timestamptz not null
);
create index evidence_due_of_asset on evidence_due (asset_id, ts);

create table prediction (
  id uuid primary key,
  asset_id bigint not null references asset,
  failure_mode_id bigint not null references failure_mode,
  stage text not null check (stage in ('watch', 'ticket')),
  status text not null check (status in ('open', 'rejected', 'lapsed', 'closed')),
  probability double precision not null check (probability between 0 and 1),
  -- The time, on the equipment's clock, of the evidence that last moved it; for recorded data it lies in the past.
  evidence_at timestamptz not null,
  first_evidence_at timestamptz not null,
  window_from timestamptz not null,
  window_to timestamptz not null,
  opened_at timestamptz not null,
  updated_at timestamptz not null,
  decided_by bigint references person,
  decision_reason text,
  version integer not null default 1,
  check (window_from < window_to)
);
create unique index one_open_prediction on prediction (asset_id, failure_mode_id) where status = 'open';
create index prediction_recent on prediction (updated_at desc);

create table prediction_evidence (
  prediction_id uuid not null references prediction on delete cascade,
  kind text not null check (kind in ('prior', 'finding', 'event', 'part_age')),
  reference text not null,
  ts timestamptz not null,
  log_odds double precision not null,
  summary_en text not null,
  summary_zh text not null,
  primary key (prediction_id, kind, reference)
);

create table predicted_part (
  prediction_id uuid not null references prediction on delete cascade,
  part_id bigint not null references part,
  quantity integer not null check (quantity > 0),
  probability double precision not null,
  primary key (prediction_id, part_id)
);
