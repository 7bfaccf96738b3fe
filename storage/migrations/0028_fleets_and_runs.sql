-- Backtests of whole fleets, why a rule was changed, and which runs to failure remaining life was learnt from.

-- All machines of a type, or those of it at a site (SPEC D7).
alter table backtest
  drop constraint backtest_asset_ids_check,
  add constraint backtest_asset_ids_check check (cardinality(asset_ids) between 1 and 2000);

-- Why this version was published; null where nobody has said.
alter table rule
  add column reason text check (length(reason) between 1 and 200);

-- Of how many runs to failure a mode's remaining life was learnt at its last telling, and how many were left out for
-- which reason (SPEC D5).
create table life_learning (
  failure_mode_id bigint primary key references failure_mode,
  runs integer not null check (runs >= 0),
  used integer not null check (used between 0 and runs),
  left_out jsonb not null,
  told_at timestamptz not null
);
