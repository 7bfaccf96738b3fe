-- Backtests of whole fleets, why a rule was changed, runs to failure learnt from, and floods with their tickets.

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

-- A flood of alarms at a site, in wall time, and the tickets that its first machines opened before it was seen to be one
-- (SPEC D1, ISA-18.2).
create table flood (
  id bigint generated always as identity primary key,
  site_id text not null references site,
  began_at timestamptz not null,
  -- When it last kept a prediction from opening its ticket.
  seen_at timestamptz not null,
  check (began_at <= seen_at)
);
create index flood_of_site on flood (site_id, seen_at);
create table flood_ticket (
  flood_id bigint not null references flood,
  ticket_id uuid not null references ticket,
  primary key (flood_id, ticket_id)
);
create index flood_ticket_by_ticket on flood_ticket (ticket_id);
