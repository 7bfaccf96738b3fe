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

-- name: types_with_regimes
-- Every asset type with its regimes, nulls where it has one only, and its assets at these sites.
select asset_type.id, asset_type.name_en, asset_type.name_zh, operating_regime.metric, operating_regime.edges,
       operating_regime.settle_s, operating_regime.updated_at,
       (select count(*)
        from asset
        where asset.asset_type_id = asset_type.id
          and asset.status = 'in_service'
          and (%(sites)s::text[] is null or asset.site_id = any(%(sites)s)))
from asset_type left join operating_regime on operating_regime.asset_type_id = asset_type.id
where (%(asset_type_id)s::text is null or asset_type.id = %(asset_type_id)s)
order by asset_type.id;

-- name: assets_in_regimes
-- The assets of a type at these sites, each with the newest value of the metric that tells its regime.
select asset.id, asset.tag, asset.name, asset.site_id, newest.ts, newest.value
from asset
left join lateral (
  select last.ts, last.value
  from device
  join series on series.device_id = device.id and series.metric = %(metric)s
  cross join lateral (
    select reading.ts, reading.value
    from reading
    where reading.series_id = series.id
    order by reading.ts desc
    limit 1
  ) as last
  where device.asset_id = asset.id
  order by last.ts desc
  limit 1
) as newest on true
where asset.asset_type_id = %(asset_type_id)s
  and asset.status = 'in_service'
  and (%(sites)s::text[] is null or asset.site_id = any(%(sites)s))
order by asset.tag
limit %(limit)s;

-- name: metrics_of_type
-- What assets of a type measure, features of waveforms left out: any of these can tell the regime.
select distinct series.metric
from asset
join device on device.asset_id = asset.id
join series on series.device_id = device.id
where asset.asset_type_id = %(asset_type_id)s
  and position('.' in series.metric) = 0
order by series.metric
limit %(limit)s;
