-- The ticket budget: how many tickets predictions opened at a site in its local day, and which predictions wait.

-- name: site_of_asset
-- The site of an asset, with the day it is there, and whether only a recording is heard of it.
select site.id, (%(now)s at time zone calendar.time_zone)::date,
       coalesce((select bool_and(device.time_policy = 'recorded') from device where device.asset_id = asset.id), false)
from asset
join site on site.id = asset.site_id
join calendar on calendar.id = site.calendar_id
where asset.id = %(asset_id)s;

-- name: hold_budget
-- Lets one at a time open a ticket on the budget of a site, until the transaction ends.
select pg_advisory_xact_lock(hashtextextended('ticket budget ' || %(site_id)s, 0));

-- name: opened_today
-- How many tickets predictions have opened at the site in this local day of it, about equipment that is live.
select count(*)
from ticket
join site on site.id = ticket.site_id
join calendar on calendar.id = site.calendar_id
where ticket.site_id = %(site_id)s
  and ticket.prediction_id is not null
  and not coalesce((select bool_and(device.time_policy = 'recorded')
                    from device
                    where device.asset_id = ticket.asset_id), false)
  and ticket.opened_at >= %(day)s::timestamp at time zone calendar.time_zone
  and ticket.opened_at < (%(day)s::date + 1)::timestamp at time zone calendar.time_zone;

-- name: hold_back
-- Marks a prediction that the budget keeps from opening a ticket; one that waits already, with the last time it tried.
update prediction
set
  held_by_budget_at = %(now)s,
  updated_at = %(now)s,
  version = version + 1
where id = %(prediction_id)s
  and status = 'open';

-- name: let_go
-- Takes the marks off a prediction that waits for nothing any more.
update prediction
set
  held_by_budget_at = null,
  held_by_flood_at = null,
  snoozed_at = null,
  snoozed_until = null,
  snoozed_severity = null,
  updated_at = %(now)s,
  version = version + 1
where id = %(prediction_id)s
  and (held_by_budget_at is not null or held_by_flood_at is not null or snoozed_at is not null);

-- name: is_flooded
-- Whether so many live assets of the asset's site had findings within so many minutes up to a moment (ISA-18.2).
select count(distinct finding.asset_id) >= %(assets)s
from finding
join asset on asset.id = finding.asset_id
where asset.site_id = (select site_id from asset where id = %(asset_id)s)
  and finding.opened_at > %(at)s - %(within_minutes)s * interval '1 minute'
  and finding.opened_at <= %(at)s
  and not finding.shadow
  and finding.shelving_id is null
  and exists (select from device where device.asset_id = asset.id and device.time_policy = 'live');

-- name: hold_for_flood
-- Marks a prediction that a flood of alarms keeps from opening a ticket.
update prediction
set
  held_by_flood_at = %(now)s,
  updated_at = %(now)s,
  version = version + 1
where id = %(prediction_id)s
  and status = 'open';

-- name: claim_waiting
-- Takes the gravest prediction whose wait is over: a new day after the budget, the end of a flood, that of its snooze.
select prediction.id, prediction.asset_id, prediction.failure_mode_id, failure_mode.severity
from prediction
join asset on asset.id = prediction.asset_id
join site on site.id = asset.site_id
join calendar on calendar.id = site.calendar_id
join failure_mode on failure_mode.id = prediction.failure_mode_id
where prediction.status = 'open'
  and prediction.stage = 'ticket'
  and (prediction.held_by_budget_at is not null
       or prediction.held_by_flood_at is not null
       or prediction.snoozed_until is not null)
  and (prediction.held_by_flood_at is null
       or prediction.held_by_flood_at <= %(now)s - %(within_minutes)s * interval '1 minute')
  and (prediction.snoozed_until is null or prediction.snoozed_until <= %(now)s)
  and (
    prediction.held_by_budget_at is null
    or (prediction.held_by_budget_at at time zone calendar.time_zone)::date
       < (%(now)s at time zone calendar.time_zone)::date
  )
  and prediction.id <> all(%(tried)s::uuid[])
order by failure_mode.severity desc, prediction.probability desc, prediction.id
limit 1
for no key update of asset skip locked;

-- name: rules_behind
-- The rules whose findings speak for a prediction.
select distinct finding.rule_id
from prediction_evidence as evidence
join finding on finding.id = evidence.reference::uuid
where evidence.prediction_id = %(prediction_id)s
  and evidence.kind = 'finding';

-- name: still_waits
-- Whether the prediction, once its asset is ours, is still open without a ticket.
select exists (
  select
  from prediction
  where prediction.id = %(prediction_id)s
    and prediction.status = 'open'
    and prediction.stage = 'ticket'
    and not exists (
      select
      from ticket
      where ticket.asset_id = prediction.asset_id
        and ticket.failure_mode_id = prediction.failure_mode_id
        and ticket.state <> 'closed'
    )
);
