-- name: predictions
-- Predictions, newest first, with the newest ticket of each.
select prediction.id, prediction.asset_id, asset.site_id, asset.tag, asset.name, failure_mode.code,
       failure_mode.name_en, failure_mode.name_zh, prediction.stage, prediction.status, prediction.probability,
       prediction.evidence_at, prediction.first_evidence_at, prediction.window_from, prediction.window_to,
       prediction.window_source,
       prediction.opened_at, prediction.updated_at, prediction.decided_by, prediction.decision_reason,
       prediction.version, ticket.code, prediction.held_by_budget_at, prediction.held_by_flood_at, prediction.snoozed_until, prediction.merged_into
from prediction
join asset on asset.id = prediction.asset_id
join failure_mode on failure_mode.id = prediction.failure_mode_id
left join lateral (
  select ticket.code
  from ticket
  where ticket.prediction_id = prediction.id
  order by ticket.id desc
  limit 1
) as ticket on true
where (%(id)s::uuid is null or prediction.id = %(id)s)
  and (%(sites)s::text[] is null or asset.site_id = any(%(sites)s))
  and (%(asset_id)s::bigint is null or prediction.asset_id = %(asset_id)s)
  and (%(status)s::text is null or prediction.status = %(status)s)
  and (%(before)s::uuid is null or prediction.id < %(before)s)
order by prediction.id desc
limit %(limit)s

-- name: lock_prediction
-- Hold a prediction while a person decides on it, and tell its open ticket if it has one.
select prediction.status,
       (select ticket.code
        from ticket
        where ticket.prediction_id = prediction.id
          and ticket.state <> 'closed'
        limit 1)
from prediction
where prediction.id = %(id)s
for no key update of prediction

-- name: note_confirmation
-- Note who had a ticket opened for a prediction.
update prediction
set decided_by = %(person_id)s,
    decision_reason = %(reason)s,
    updated_at = %(now)s,
    version = version + 1
where id = %(id)s
