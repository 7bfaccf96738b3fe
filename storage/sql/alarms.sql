-- Alarms: findings as the people who watch see them, and what they have set aside.

-- name: alarms
-- Findings at these sites that hold, or have cleared lately and nobody said that they know, newest first.
select finding.id, finding.asset_id, asset.site_id, asset.tag, asset.name, finding.series_id, finding.metric,
       series.unit, finding.detector, rule.name, finding.direction, finding.severity, finding.opened_at,
       finding.cleared_at, finding.value, finding.limit_value, finding.acknowledged_at, acknowledger.name,
       shelving.until, shelving.reason, finding.shadow
from finding
join asset on asset.id = finding.asset_id
join series on series.id = finding.series_id
join rule on rule.id = finding.rule_id
left join person as acknowledger on acknowledger.id = finding.acknowledged_by
left join shelving on shelving.id = finding.shelving_id
where not finding.shadow
  and (finding.cleared_at is null or (finding.acknowledged_at is null and finding.recorded_at > %(lately)s))
  and (%(id)s::uuid is null or finding.id = %(id)s)
  and (%(asset_id)s::bigint is null or finding.asset_id = %(asset_id)s)
  and (%(sites)s::text[] is null or asset.site_id = any(%(sites)s))
  and (%(shelved)s::boolean is null or (finding.shelving_id is not null) = %(shelved)s)
  and (%(before)s::uuid is null
       or (finding.opened_at, finding.id) < (select opened_at, id from finding where id = %(before)s))
order by finding.opened_at desc, finding.id desc
limit %(limit)s

-- name: acknowledge
-- Notes that a person knows of findings at these sites; who said so first stays.
update finding
set acknowledged_at = %(now)s, acknowledged_by = %(person_id)s
from asset
where finding.id = any(%(ids)s::uuid[])
  and finding.acknowledged_at is null
  and asset.id = finding.asset_id
  and (%(sites)s::text[] is null or asset.site_id = any(%(sites)s))
returning finding.id

-- name: shelve
-- Sets aside what an asset's detectors say.
insert into shelving (asset_id, metric, rule_name, reason, shelved_by, shelved_at, until)
values (%(asset_id)s, %(metric)s, %(rule_name)s, %(reason)s, %(person_id)s, %(now)s, %(until)s)
returning id

-- name: shelve_open
-- Takes the findings that hold now under a shelving.
update finding
set shelving_id = shelving.id
from shelving, rule
where shelving.id = %(shelving_id)s
  and finding.asset_id = shelving.asset_id
  and finding.cleared_at is null
  and finding.shelving_id is null
  and rule.id = finding.rule_id
  and (shelving.metric is null or shelving.metric = finding.metric)
  and (shelving.rule_name is null or shelving.rule_name = rule.name)

-- name: end_shelving
-- Ends a shelving before its time.
update shelving
set ended_at = %(now)s, ended_by = %(person_id)s
where id = %(id)s
  and ended_at is null
returning id

-- name: end_due
-- Ends the shelvings whose time is up.
update shelving
set ended_at = until
where ended_at is null
  and until <= %(now)s
returning id

-- name: bring_back
-- Lets what still holds count again, and puts it before the desk; what has cleared meanwhile stays set aside.
-- What another shelving sets aside as well goes over to that.
with back as (
  update finding
  set shelving_id = (
    select max(other.id)
    from shelving as other
    where other.asset_id = finding.asset_id
      and other.ended_at is null
      and other.until > %(now)s
      and (other.metric is null or other.metric = finding.metric)
      and (other.rule_name is null or other.rule_name = (select rule.name from rule where rule.id = finding.rule_id))
  )
  where shelving_id = any(%(shelving_ids)s::bigint[])
    and cleared_at is null
  returning asset_id, opened_at, shadow, shelving_id
)
insert into evidence_due (asset_id, ts)
select distinct asset_id, opened_at
from back
where not shadow
  and shelving_id is null

-- name: shelvings
-- What is set aside at these sites, or was, newest first.
select shelving.id, shelving.asset_id, asset.site_id, asset.tag, shelving.metric, shelving.rule_name, shelving.reason,
       person.name, shelving.shelved_at, shelving.until, shelving.ended_at,
       (select count(*) from finding where finding.shelving_id = shelving.id)
from shelving
join asset on asset.id = shelving.asset_id
join person on person.id = shelving.shelved_by
where (%(id)s::bigint is null or shelving.id = %(id)s)
  and (%(asset_id)s::bigint is null or shelving.asset_id = %(asset_id)s)
  and (%(sites)s::text[] is null or asset.site_id = any(%(sites)s))
  and (%(in_force)s::boolean is null or (shelving.ended_at is null) = %(in_force)s)
  and (%(before)s::bigint is null or shelving.id < %(before)s)
order by shelving.id desc
limit %(limit)s
