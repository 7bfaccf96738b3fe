-- Findings: what detectors claimed, and which assets have evidence that nobody has judged yet.

-- name: insert_findings
-- Stores new findings, has what they saw frozen, and puts those before the desk that are neither shadow nor shelved.
with new as (
  insert into finding (
    id, rule_id, series_id, asset_id, metric, detector, direction, severity, shadow,
    opened_at, value, score, limit_value, evidence, recorded_at, shelving_id
  )
  select
    id, rule_id, series_id, asset_id, metric, detector, direction, severity, shadow,
    opened_at, value, score, limit_value, evidence::jsonb, %(now)s,
    (select max(shelving.id)
     from shelving
     where shelving.asset_id = given.asset_id
       and shelving.ended_at is null
       and shelving.until > %(now)s
       and (shelving.metric is null or shelving.metric = given.metric)
       and (shelving.rule_name is null
            or shelving.rule_name = (select rule.name from rule where rule.id = given.rule_id)))
  from unnest(
    %(id)s::uuid[], %(rule_id)s::bigint[], %(series_id)s::integer[], %(asset_id)s::bigint[], %(metric)s::text[],
    %(detector)s::text[], %(direction)s::text[], %(severity)s::text[], %(shadow)s::boolean[],
    %(opened_at)s::timestamptz[], %(value)s::float8[], %(score)s::float8[], %(limit)s::float8[], %(evidence)s::text[]
  ) as given (
    id, rule_id, series_id, asset_id, metric, detector, direction, severity, shadow,
    opened_at, value, score, limit_value, evidence
  )
  on conflict do nothing
  returning id, asset_id, opened_at, shadow, shelving_id
), to_freeze as (
  insert into evidence_pack_due (finding_id)
  select id
  from new
)
insert into evidence_due (asset_id, ts)
select distinct asset_id, opened_at
from new
where not shadow
  and shelving_id is null;

-- name: clear_findings
-- Ends findings; one that has ended already keeps its first end.
update finding
set cleared_at = given.cleared_at
from unnest(
  %(series_id)s::integer[], %(rule_id)s::bigint[], %(opened_at)s::timestamptz[], %(cleared_at)s::timestamptz[]
) as given (series_id, rule_id, opened_at, cleared_at)
where finding.series_id = given.series_id
  and finding.rule_id = given.rule_id
  and finding.opened_at = given.opened_at
  and finding.cleared_at is null;

-- name: findings_of_asset
-- The findings of an asset that were open at some time within the period and are not shelved, oldest first.
select
  id, rule_id, series_id, asset_id, metric, detector, direction, severity, shadow,
  opened_at, cleared_at, value, score, limit_value, evidence
from finding
where asset_id = %(asset_id)s
  and opened_at <= %(until)s
  and (opened_at >= %(since)s or cleared_at is null or cleared_at >= %(since)s)
  and shelving_id is null
order by opened_at, id;

-- name: recent_findings
-- The newest findings of one asset, or of all of them.
select
  id, rule_id, series_id, asset_id, metric, detector, direction, severity, shadow,
  opened_at, cleared_at, value, score, limit_value, evidence
from finding
where (%(asset_id)s::bigint is null or asset_id = %(asset_id)s)
order by opened_at desc, id
limit %(limit)s;

-- name: finding_of_id
-- One finding with the site of its asset and the version of the rule that raised it.
select
  finding.id, finding.rule_id, finding.series_id, finding.asset_id, finding.metric, finding.detector,
  finding.direction, finding.severity, finding.shadow, finding.opened_at, finding.cleared_at, finding.value,
  finding.score, finding.limit_value, finding.evidence,
  rule.mode, asset.site_id, rule.name, rule.version, rule.metric, rule.parameters
from finding
join asset on asset.id = finding.asset_id
join rule on rule.id = finding.rule_id
where finding.id = %(id)s;

-- name: limits_coming
-- The findings of assets of a type that hold, count, and say when their limit will be reached, newest first.
select
  finding.id, finding.rule_id, finding.series_id, finding.asset_id, finding.metric, finding.detector,
  finding.direction, finding.severity, finding.shadow, finding.opened_at, finding.cleared_at, finding.value,
  finding.score, finding.limit_value, finding.evidence
from finding
join asset on asset.id = finding.asset_id
where asset.asset_type_id = %(asset_type)s
  and asset.status = 'in_service'
  and finding.cleared_at is null
  and not finding.shadow
  and finding.shelving_id is null
  and finding.evidence ? 'time_to_limit_s'
order by finding.opened_at desc, finding.id desc;
