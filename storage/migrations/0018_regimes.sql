-- Operating regimes of an asset type: which of its metrics tells the load it runs under.

create table operating_regime (
  asset_type_id text primary key references asset_type,
  metric text not null check (length(metric) between 1 and 128),
  -- None: the type has one regime. The row stays, so that the version goes on growing.
  edges double precision[] not null check (cardinality(edges) between 0 and 7),
  settle_s double precision not null check (settle_s between 0 and 31622400),
  version integer not null default 1,
  updated_at timestamptz not null
);

-- Ingesters take note as they do of rules.
create trigger operating_regime_is_announced after insert or update or delete on operating_regime
  for each statement execute function announce_registration();
