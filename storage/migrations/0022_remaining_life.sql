-- Runs to failure, and how long an asset has left.

-- How long each part of an asset has left before a failure mode (SPEC D5); the jobs process replaces all of a mode's.
create table remaining_life (
  asset_id bigint not null references asset,
  failure_mode_id bigint not null references failure_mode,
  -- On the equipment's clock; hours are counted from here.
  as_of timestamptz not null,
  low_h double precision not null,
  middle_h double precision not null,
  high_h double precision not null,
  coverage double precision not null check (coverage > 0 and coverage < 1),
  method text not null check (method in ('similarity', 'trend')),
  -- The runs to failure behind it; none for a trend.
  runs integer not null check (runs >= 0),
  told_at timestamptz not null,
  primary key (asset_id, failure_mode_id),
  check (0 <= low_h and low_h <= middle_h and middle_h <= high_h and high_h < 'infinity'),
  check ((method = 'trend') = (runs = 0))
);
create index remaining_life_of_mode on remaining_life (failure_mode_id);
