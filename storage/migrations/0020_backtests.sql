-- Backtests: rules tried on stored history, and limits proposed by replay.

create table backtest (
  id bigint generated always as identity primary key,
  kind text not null check (kind in ('backtest', 'calibration')),
  asset_type_id text not null references asset_type,
  -- The machines and their sites, fixed when it was asked for.
  asset_ids bigint[] not null check (cardinality(asset_ids) between 1 and 200),
  sites text[] not null,
  since timestamptz not null,
  until timestamptz not null,
  -- What is tried: candidate rules, labels; of a calibration the rule, the parameter and the wanted rate.
  request jsonb not null,
  state text not null check (state in ('waiting', 'running', 'done', 'failed', 'cancelled')),
  -- Grows with each runner that takes it up; one that was taken over finds another number and stops.
  claim integer not null default 0,
  error text,
  proposal jsonb,
  asked_by bigint references person,
  created_at timestamptz not null,
  started_at timestamptz,
  finished_at timestamptz,
  check (since < until),
  check ((state in ('done', 'failed', 'cancelled')) = (finished_at is not null))
);
create index backtest_to_run on backtest (id) where state in ('waiting', 'running');

-- What came of each machine, stored as it comes: a run that is taken up again goes on with the others.
create table backtest_machine (
  backtest_id bigint not null references backtest on delete cascade,
  asset_id bigint not null references asset,
  result jsonb,
  error text,
  primary key (backtest_id, asset_id),
  check (num_nonnulls(result, error) = 1)
);
