-- Alarm states after ISA-18.2: findings that somebody has acknowledged, and findings set aside for a time with a reason.

create table shelving (
  id bigint generated always as identity primary key,
  asset_id bigint not null references asset,
  -- Null: every metric of the asset, every rule.
  metric text,
  rule_name text,
  reason text not null check (length(reason) between 1 and 1000),
  shelved_by bigint not null references person,
  shelved_at timestamptz not null,
  -- Nothing is shelved for ever: that would be switching the rule off, which is another decision.
  until timestamptz not null,
  ended_at timestamptz,
  ended_by bigint references person,
  check (shelved_at < until and until <= shelved_at + interval '30 days'),
  check (ended_at is null or ended_at >= shelved_at)
);
create index shelving_in_force on shelving (asset_id) where ended_at is null;

alter table finding
  add column acknowledged_at timestamptz,
  add column acknowledged_by bigint references person,
  -- While it is shelved, a finding is recorded and counts for nothing.
  add column shelving_id bigint references shelving,
  add check ((acknowledged_at is null) = (acknowledged_by is null));
create index finding_active on finding (asset_id) where cleared_at is null and not shadow;
create index finding_shelved on finding (shelving_id) where shelving_id is not null;

-- Since when a flood of alarms at the site keeps a prediction from opening a ticket by itself.
alter table prediction add column held_by_flood_at timestamptz;
create index prediction_held_by_flood on prediction (asset_id) where status = 'open' and held_by_flood_at is not null;
create index finding_recent on finding (opened_at) where not shadow;
