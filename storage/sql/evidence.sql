-- Evidence: which assets have some that is not judged, and what is known about an asset when it is judged.

-- name: claim_asset
-- Takes the asset that has waited longest, unless another desk is at it. Ingest may go on referring to the asset.
select asset.id, asset.asset_type_id
from asset
join (
  select asset_id, min(id) as first_due
  from evidence_due
  where asset_id <> all(%(set_aside)s::bigint[])
  group by asset_id
) as due on due.asset_id = asset.id
order by due.first_due
limit 1
for no key update of asset skip locked;

-- name: take_due
-- Takes the times at which the asset's evidence came in; they come back if the transaction does not commit.
delete from evidence_due
where asset_id = %(asset_id)s
returning ts;

-- name: hold_tickets
-- Waits for whoever is working on an open ticket of the asset, and keeps it from being closed meanwhile.
select id
from ticket
where asset_id = %(asset_id)s
  and state <> 'closed'
order by id
for no key update;

-- name: hold_predictions
-- The same for the open predictions; always after the tickets, the order in which closing takes them.
select id
from prediction
where asset_id = %(asset_id)s
  and status = 'open'
order by id
for no key update;

-- name: events_of_asset
-- What the asset and its people reported within the period, in order of time.
select ts, kind, code, severity, text, attributes
from event
where asset_id = %(asset_id)s
  and ts between %(since)s and %(until)s
order by ts, id;

-- name: fitted_components
-- When the components of the asset were fitted.
select component, installed_at
from component_installation
where asset_id = %(asset_id)s
order by installed_at;

-- name: last_closed
-- Until when the evidence for each mode is spent: the work of its last ticket was finished, or a person rejected it.
select mode.code, max(spent.until)
from (
  select
    unnest(array[ticket.failure_mode_id, ticket.found_failure_mode_id]) as failure_mode_id,
    coalesce(ticket.work_finished_at, prediction.evidence_at, ticket.evidence_at) as until
  from ticket
  left join prediction on prediction.id = ticket.prediction_id
  where ticket.asset_id = %(asset_id)s
    and ticket.state = 'closed'
  union all
  select failure_mode_id, evidence_at
  from prediction
  where asset_id = %(asset_id)s
    and status = 'rejected'
  union all
  -- What people said was evidence about another mode is spent with that.
  select alias.failure_mode_id, coalesce(ticket.work_finished_at, prediction.evidence_at)
  from prediction_alias as alias
  join prediction on prediction.id = alias.prediction_id
  left join ticket on ticket.prediction_id = prediction.id and ticket.state = 'closed'
  where alias.asset_id = %(asset_id)s
    and prediction.status in ('closed', 'rejected')
) as spent
join failure_mode as mode on mode.id = spent.failure_mode_id
group by mode.code;

-- name: past_closures
-- How tickets about the asset's failure modes ended: the mode that was repaired, or the one expected and not found.
select mode.code, coalesce(ticket.work_finished_at, ticket.evidence_at) as at, ticket.outcome = 'repaired'
from ticket
join failure_mode as mode
  on mode.id = case
    when ticket.outcome = 'repaired' then coalesce(ticket.found_failure_mode_id, ticket.failure_mode_id)
    else ticket.failure_mode_id
  end
where ticket.asset_id = %(asset_id)s
  and ticket.state = 'closed'
  and ticket.outcome in ('repaired', 'no_fault_found', 'false_alarm')
  and coalesce(ticket.work_finished_at, ticket.evidence_at) between %(since)s and %(until)s
order by at, ticket.id;

-- name: record_replacement
-- Notes that a component was replaced, told by an event.
insert into component_installation (asset_id, component, installed_at, source)
values (%(asset_id)s, %(component)s, %(installed_at)s, 'event')
on conflict do nothing;

-- name: reported_metrics
-- The metrics that the devices of the asset report.
select distinct series.metric
from series
join device on device.id = series.device_id
where device.asset_id = %(asset_id)s;

-- name: move_anchors
-- Begins new baselines for these metrics; never moves one back.
insert into anchor (asset_id, metric, anchored_at)
select %(asset_id)s, metric, %(anchored_at)s
from unnest(%(metrics)s::text[]) as metric
on conflict (asset_id, metric) do update
set anchored_at = greatest(anchor.anchored_at, excluded.anchored_at);
