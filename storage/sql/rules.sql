-- Rules: versioned, never changed. The rule in force is the highest version of its name.

-- name: rules_in_force
-- The newest version of every rule for an asset type, those that are off left out.
select id, name, version, metric, detector, parameters, severity, mode
from (
  select distinct on (name) id, name, version, asset_type_id, metric, detector, parameters, severity, mode
  from rule
  order by name, version desc
) as newest
where mode <> 'off'
  and (asset_type_id is null or asset_type_id = %(asset_type_id)s)
order by name;

-- name: rules_version
-- A number that grows with every version of every rule and of operating regimes, whatever order they commit in.
select (select count(*) from rule) + (select coalesce(sum(version), 0) from operating_regime);

-- name: newest_rules
-- The newest version of every rule, those that are off included.
select distinct on (rule.name)
  rule.id, rule.name, rule.version, rule.asset_type_id, rule.metric, rule.detector, rule.parameters, rule.severity,
  rule.mode, rule.created_at, person.login, rule.reason
from rule
left join person on person.id = rule.published_by
order by rule.name, rule.version desc;

-- name: rule_versions
-- Every version of a rule, newest first.
select
  rule.id, rule.name, rule.version, rule.asset_type_id, rule.metric, rule.detector, rule.parameters, rule.severity,
  rule.mode, rule.created_at, person.login, rule.reason
from rule
left join person on person.id = rule.published_by
where rule.name = %(name)s
order by rule.version desc;

-- name: insert_rule
-- Adds the next version of a rule; two people who do so at once meet at the unique (name, version).
insert into rule (
  name, version, asset_type_id, metric, detector, parameters, severity, mode, created_at, published_by, reason
)
select
  %(name)s, coalesce(max(version), 0) + 1, %(asset_type_id)s, %(metric)s, %(detector)s, %(parameters)s::jsonb,
  %(severity)s, %(mode)s, %(now)s, %(person_id)s::bigint,
  %(reason)s::text
from rule
where name = %(name)s
returning id, version, (select person.login from person where person.id = rule.published_by);

-- name: insert_first_version
-- Adds a shipped rule unless a rule of that name exists.
insert into rule (name, version, asset_type_id, metric, detector, parameters, severity, mode, created_at)
select
  %(name)s, 1, %(asset_type_id)s, %(metric)s, %(detector)s, %(parameters)s::jsonb, %(severity)s, %(mode)s, %(now)s
where not exists (select from rule where name = %(name)s)
on conflict do nothing;

-- name: modes_of_rules
-- What becomes of the findings of these versions.
select distinct mode
from rule
where id = any(%(rule_ids)s);
