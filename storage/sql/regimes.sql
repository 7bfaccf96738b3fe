-- Operating regimes: which metric of an asset type tells under which load it runs, and where its range is cut.

-- name: operating_regimes
-- The regimes of an asset type; nulls where nobody has set any, no row where there is no such type.
select metric, edges, settle_s, updated_at
from asset_type left join operating_regime on operating_regime.asset_type_id = asset_type.id
where asset_type.id = %(asset_type_id)s;

-- name: save_operating_regimes
-- Sets the regimes of an asset type; what is set already stays as it is, and is not announced as a change.
insert into operating_regime (asset_type_id, metric, edges, settle_s, updated_at)
values (%(asset_type_id)s, %(metric)s, %(edges)s, %(settle_s)s, %(now)s)
on conflict (asset_type_id) do update
set
  metric = excluded.metric,
  edges = excluded.edges,
  settle_s = excluded.settle_s,
  version = operating_regime.version + 1,
  updated_at = excluded.updated_at
where (operating_regime.metric, operating_regime.edges, operating_regime.settle_s)
  is distinct from (excluded.metric, excluded.edges, excluded.settle_s);

-- name: drop_operating_regimes
-- Leaves the asset type with one regime.
update operating_regime
set edges = '{}', version = version + 1, updated_at = %(now)s
where asset_type_id = %(asset_type_id)s and edges <> '{}';
