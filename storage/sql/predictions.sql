-- Predictions: one open for each failure mode of an asset; stage and probability only rise while it is open.

-- name: upsert_prediction
-- Opens a prediction, or takes what is new into the open one.
insert into prediction (
  id, asset_id, failure_mode_id, stage, status, probability, evidence_at, first_evidence_at,
  window_from, window_to, window_source, opened_at, updated_at
)
values (
  %(id)s, %(asset_id)s, %(failure_mode_id)s, %(stage)s, 'open', %(probability)s, %(evidence_at)s,
  %(first_evidence_at)s, %(window_from)s, %(window_to)s, %(window_source)s, %(now)s, %(now)s
)
on conflict (asset_id, failure_mode_id) where status = 'open' do update
set
  stage = case when prediction.stage = 'ticket' then 'ticket' else excluded.stage end,
  probability = greatest(prediction.probability, excluded.probability),
  evidence_at = greatest(prediction.evidence_at, excluded.evidence_at),
  (window_from, window_to, window_source) = (
    select moved.window_from, moved.window_to, moved.window_source
    from (
      values
        -- New evidence moves the window.
        (1, excluded.evidence_at > prediction.evidence_at,
         excluded.window_from, excluded.window_to, excluded.window_source),
        -- Of the same evidence a better source moves it too.
        (2, excluded.evidence_at = prediction.evidence_at
            and array_position(%(sources)s::text[], excluded.window_source)
                < array_position(%(sources)s::text[], prediction.window_source),
         excluded.window_from, excluded.window_to, excluded.window_source),
        -- The same source can only narrow it.
        (3, excluded.evidence_at = prediction.evidence_at
            and excluded.window_source = prediction.window_source
            and greatest(prediction.window_from, excluded.window_from)
                < least(prediction.window_to, excluded.window_to),
         greatest(prediction.window_from, excluded.window_from),
         least(prediction.window_to, excluded.window_to), prediction.window_source),
        (4, true, prediction.window_from, prediction.window_to, prediction.window_source)
    ) as moved (turn, applies, window_from, window_to, window_source)
    where moved.applies
    order by moved.turn
    limit 1
  ),
  updated_at = excluded.updated_at,
  version = prediction.version + 1
returning id, stage, probability;

-- name: drop_context
-- Takes away what was said about a less likely prediction beside its evidence: age, history, rivals.
delete from prediction_evidence
where prediction_id = %(prediction_id)s
  and kind not in ('finding', 'event');

-- name: save_contribution
-- Adds a piece of evidence, or its newer weight.
insert into prediction_evidence (prediction_id, kind, reference, ts, log_odds, summary_en, summary_zh)
values (%(prediction_id)s, %(kind)s, %(reference)s, %(ts)s, %(log_odds)s, %(summary_en)s, %(summary_zh)s)
on conflict (prediction_id, kind, reference) do update
set
  ts = excluded.ts,
  log_odds = excluded.log_odds,
  summary_en = excluded.summary_en,
  summary_zh = excluded.summary_zh;

-- name: save_predicted_part
-- Adds a part that the repair will need.
insert into predicted_part (prediction_id, part_id, quantity, probability)
select %(prediction_id)s, id, %(quantity)s, %(probability)s
from part
where number = %(number)s
on conflict (prediction_id, part_id) do update
set
  quantity = excluded.quantity,
  probability = excluded.probability;

-- name: findings_behind
-- The findings that speak for a prediction, with the rules that raised them.
select finding.id, finding.rule_id
from prediction_evidence as evidence
join finding on finding.id = evidence.reference::uuid
where evidence.prediction_id = %(prediction_id)s
  and evidence.kind = 'finding'
order by finding.opened_at, finding.id;

-- name: open_ticket
-- The open ticket of the failure mode, if there is one.
select id
from ticket
where asset_id = %(asset_id)s
  and failure_mode_id = %(failure_mode_id)s
  and state <> 'closed';

-- name: close_answered
-- Closes the open predictions about a replaced component, except those that a ticket is working on.
update prediction
set
  status = 'closed',
  updated_at = %(now)s,
  version = version + 1
where asset_id = %(asset_id)s
  and failure_mode_id = any(%(failure_mode_ids)s::bigint[])
  and status = 'open'
  and evidence_at <= %(until)s
  and not exists (
    select from ticket
    where ticket.asset_id = prediction.asset_id
      and ticket.failure_mode_id = prediction.failure_mode_id
      and ticket.state <> 'closed'
  );

-- name: lapse_watches
-- Ends watches whose window has passed on the equipment's clock, as long as no finding behind them is open.
update prediction
set
  status = 'lapsed',
  updated_at = %(now)s,
  version = version + 1
where status = 'open'
  and stage = 'watch'
  and window_to < (
    select max(device.last_reading_at)
    from device
    where device.asset_id = prediction.asset_id
  )
  and not exists (
    select
    from prediction_evidence as evidence
    join finding on finding.id = evidence.reference::uuid
    where evidence.prediction_id = prediction.id
      and evidence.kind = 'finding'
      and finding.cleared_at is null
  );
