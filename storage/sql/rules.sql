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
-- A number that grows with every version of every rule, whatever order their transactions commit in.
select count(*) from rule;

-- name: newest_rules
-- The newest version of every rule, those that are off included.
select distinct on (name) id, name, version, asset_type_id, metric, detector, parameters, severity, mode, created_at
from rule
order by name, version desc;

-- name: insert_rule
-- Adds the next version of a rule; two people who do so at once meet at the unique (name, version).
insert into rule (name, version, asset_type_id, metric, detector, parameters, severity, mode, created_at)
select
  %(name)s, coalesce(max(version), 0) + 1, %(asset_type_id)s, %(metric)s, %(detector)s, %(parameters)s::jsonb,
  %(severity)s, %(mode)s, %(now)s
from rule
where name = %(name)s
returning id, version;

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
