-- Decisions: what people say about open predictions beside yes and no.

-- name: hold_asset_of
-- Holds the asset of a prediction, as the desk does before it judges: before or after, never crosswise.
select asset.id
from asset
where asset.id = (select prediction.asset_id from prediction where prediction.id = %(id)s)
for no key update;

-- name: hold_prediction
-- Holds a prediction while a person decides on it, and tells what it says.
select
  prediction.id, prediction.asset_id, prediction.failure_mode_id, failure_mode.code, asset.asset_type_id,
  prediction.status, prediction.window_from, prediction.window_to, prediction.evidence_at, prediction.snoozed_until,
  (
    select ticket.code
    from ticket
    where ticket.asset_id = prediction.asset_id
      and ticket.failure_mode_id = prediction.failure_mode_id
      and ticket.state <> 'closed'
    limit 1
  )
from prediction
join asset on asset.id = prediction.asset_id
join failure_mode on failure_mode.id = prediction.failure_mode_id
where prediction.id = %(id)s
for no key update of prediction;

-- name: fold
-- Takes what one prediction says into another: stage, probability and the times of its evidence.
update prediction as target
set
  stage = case when 'ticket' in (target.stage, source.stage) then 'ticket' else 'watch' end,
  probability = greatest(target.probability, source.probability),
  evidence_at = greatest(target.evidence_at, source.evidence_at),
  first_evidence_at = least(target.first_evidence_at, source.first_evidence_at),
  updated_at = %(now)s,
  version = target.version + 1
from prediction as source
where target.id = %(target_id)s
  and source.id = %(source_id)s;

-- name: fold_evidence
-- Copies the evidence; about the target's own mode it weighs nothing until it is judged for that.
insert into prediction_evidence (prediction_id, kind, reference, ts, log_odds, summary_en, summary_zh)
select %(target_id)s, kind, reference, ts, 0, summary_en, summary_zh
from prediction_evidence
where prediction_id = %(source_id)s
  and kind in ('finding', 'event')
on conflict do nothing;

-- name: fold_parts
-- Adds the parts that only the other prediction expected.
insert into predicted_part (prediction_id, part_id, quantity, probability)
select %(target_id)s, part_id, quantity, probability
from predicted_part
where prediction_id = %(source_id)s
on conflict do nothing;

-- name: end_merged
-- Ends a prediction that was folded into another.
update prediction
set
  status = 'merged',
  merged_into = %(target_id)s,
  decided_by = %(person_id)s,
  decision_reason = %(reason)s,
  updated_at = %(now)s,
  version = version + 1
where id = %(source_id)s;

-- name: add_aliases
-- Sends further evidence about the source's mode, and about those that led to it, to the target while it is open.
insert into prediction_alias (asset_id, failure_mode_id, prediction_id)
select asset_id, failure_mode_id, %(target_id)s
from (
  select asset_id, failure_mode_id
  from prediction
  where id = %(source_id)s
  union
  select asset_id, failure_mode_id
  from prediction_alias
  where prediction_id = %(source_id)s
) as led
on conflict do nothing;

-- name: drop_aliases
-- Lets evidence about a mode of the asset speak for itself again.
delete from prediction_alias
where asset_id = %(asset_id)s
  and failure_mode_id = %(failure_mode_id)s;

-- name: alias_target
-- The open prediction to which evidence about a mode of the asset goes.
select prediction.id, prediction.failure_mode_id
from prediction_alias
join prediction on prediction.id = prediction_alias.prediction_id
where prediction_alias.asset_id = %(asset_id)s
  and prediction_alias.failure_mode_id = %(failure_mode_id)s
  and prediction.failure_mode_id <> %(failure_mode_id)s
  and prediction.status = 'open'
order by prediction.id desc
limit 1;

-- name: take_evidence
-- Takes newly judged evidence about another mode into a prediction; its stage and probability only rise.
update prediction
set
  stage = case when stage = 'ticket' then 'ticket' else %(stage)s end,
  probability = greatest(probability, %(probability)s),
  evidence_at = greatest(evidence_at, %(evidence_at)s),
  updated_at = %(now)s,
  version = version + 1
where id = %(id)s
returning stage;

-- name: add_evidence
-- Adds a piece of evidence that was told about another mode.
insert into prediction_evidence (prediction_id, kind, reference, ts, log_odds, summary_en, summary_zh)
values (%(prediction_id)s, %(kind)s, %(reference)s, %(ts)s, 0, %(summary_en)s, %(summary_zh)s)
on conflict do nothing;

-- name: findings_behind
-- The findings that speak for a prediction, with the rules that raised them.
select finding.id, finding.rule_id
from prediction_evidence as evidence
join finding on finding.id = evidence.reference::uuid
where evidence.prediction_id = %(prediction_id)s
  and evidence.kind = 'finding'
order by finding.opened_at, finding.id;

-- name: snooze
-- Lets a prediction open no ticket until a time, unless graver evidence comes.
update prediction
set
  snoozed_at = %(now)s,
  snoozed_until = %(until)s,
  snoozed_severity = coalesce(
    (
      select finding.severity
      from prediction_evidence as evidence
      join finding on finding.id = evidence.reference::uuid
      where evidence.prediction_id = prediction.id
        and evidence.kind = 'finding'
      order by array_position(array['critical', 'high', 'medium', 'low'], finding.severity)
      limit 1
    ),
    'low'
  ),
  decided_by = %(person_id)s,
  decision_reason = %(reason)s,
  updated_at = %(now)s,
  version = version + 1
where id = %(id)s;

-- name: asleep
-- Which of these predictions sleep: their time is not over, and nothing graver or critical came in since.
select prediction.id
from prediction
where prediction.id = any(%(ids)s)
  and prediction.snoozed_until > %(now)s
  and not exists (
    select
    from prediction_evidence as evidence
    join finding on finding.id = evidence.reference::uuid
    where evidence.prediction_id = prediction.id
      and evidence.kind = 'finding'
      and finding.recorded_at > prediction.snoozed_at
      and (
        finding.severity = 'critical'
        or array_position(array['low', 'medium', 'high', 'critical'], finding.severity)
           > array_position(array['low', 'medium', 'high', 'critical'], prediction.snoozed_severity)
      )
  )
  and not exists (
    select
    from event
    where event.asset_id = prediction.asset_id
      and event.severity = 'critical'
      and event.received_at > prediction.snoozed_at
  );

-- name: correct
-- Corrects mode and window of a prediction on a person's word; a corrected window stays.
update prediction
set
  failure_mode_id = %(failure_mode_id)s,
  window_from = %(window_from)s,
  window_to = %(window_to)s,
  window_corrected_at = case when %(is_window)s then %(now)s else window_corrected_at end,
  decided_by = %(person_id)s,
  decision_reason = %(reason)s,
  updated_at = %(now)s,
  version = version + 1
where id = %(id)s;

-- name: open_of_mode
-- The open prediction of a mode of the asset.
select id
from prediction
where asset_id = %(asset_id)s
  and failure_mode_id = %(failure_mode_id)s
  and status = 'open';

-- name: drop_parts
-- Takes the parts of the mode away that it turned out not to be.
delete from predicted_part
where prediction_id = %(prediction_id)s;

-- name: add_part
-- Adds a part that the repair of the corrected mode needs.
insert into predicted_part (prediction_id, part_id, quantity, probability)
select %(prediction_id)s, part.id, %(quantity)s, %(probability)s
from part
where part.number = %(number)s;

-- name: note_decision
-- Notes what a person decided, when, why, and what it changed.
insert into prediction_decision (prediction_id, kind, at, person_id, reason, before, after)
values (%(prediction_id)s, %(kind)s, %(now)s, %(person_id)s, %(reason)s, %(before)s, %(after)s);

-- name: decisions
-- What people decided about a prediction, oldest first.
select decision.kind, decision.at, person.login, decision.reason, decision.before, decision.after
from prediction_decision as decision
join person on person.id = decision.person_id
where decision.prediction_id = %(id)s
order by decision.id
limit %(limit)s;
