-- name: retire_links
-- Ends the unused links of a ticket: a new one takes their place.
update confirmation_link
set expires_at = %(now)s
where ticket_id = %(ticket_id)s
  and used_at is null
  and expires_at > %(now)s

-- name: insert_link
-- Stores a confirmation link; only the hash of its secret is kept.
insert into confirmation_link (ticket_id, secret_hash, created_at, expires_at)
values (%(ticket_id)s, %(secret_hash)s, %(now)s, %(expires_at)s)

-- name: read_link
-- Returns a link with what the requester is asked about.
select
  l.id, t.code, t.title_en, t.title_zh, t.state, t.resolution_code, t.cause, t.action_taken, t.work_finished_at,
  t.resolved_at, a.tag as asset_tag, a.name as asset_name, s.name as site_name, r.name as requester_name,
  e.name as engineer_name, l.expires_at, l.used_at
from confirmation_link l
join ticket t on t.id = l.ticket_id
join asset a on a.id = t.asset_id
join site s on s.id = t.site_id
left join person r on r.id = t.requester_id
left join person e on e.id = t.assignee_id
where l.secret_hash = %(secret_hash)s

-- name: use_link
-- Uses a link up; of two who try at once, one gets it.
update confirmation_link
set used_at = %(now)s
where id = %(id)s
  and used_at is null
  and expires_at > %(now)s
returning id

-- name: insert_answer
-- Stores what the requester answered.
insert into survey_answer (confirmation_link_id, ticket_id, solved, satisfied, cause, comment, answered_at)
select id, ticket_id, %(solved)s, %(satisfied)s, %(cause)s, %(comment)s, %(now)s
from confirmation_link
where id = %(id)s

-- name: insert_lesson
-- Records what a closure taught: mode expected and found, rules and signs that spoke, parts, lead (SPEC P4).
with spoke as (
  select f.id, f.rule_id, f.metric, f.detector, f.direction, f.severity, f.opened_at
  from ticket_finding tf
  join finding f on f.id = tf.finding_id
  where tf.ticket_id = %(ticket_id)s
  union
  -- Nobody predicted what a person reported: what detectors said shortly before is what they could have known.
  select f.id, f.rule_id, f.metric, f.detector, f.direction, f.severity, f.opened_at
  from ticket t
  join finding f on f.asset_id = t.asset_id
  where t.id = %(ticket_id)s
    and t.prediction_id is null
    and not f.shadow
    and f.shelving_id is null
    and f.opened_at <= t.evidence_at
    and coalesce(f.cleared_at, t.evidence_at) >= t.evidence_at - interval '72 hours'
),
told as (
  -- A sign of several events names them together: "E1+E2@time".
  select distinct string_to_table(regexp_replace(e.reference, '@[^@]*$', ''), '+') as code
  from ticket t
  join prediction_evidence e on e.prediction_id = t.prediction_id
  where t.id = %(ticket_id)s
    and e.kind = 'event'
  union
  select e.code
  from ticket t
  join event e on e.asset_id = t.asset_id
  where t.id = %(ticket_id)s
    and t.prediction_id is null
    and e.kind <> 'operator'
    and e.ts between t.evidence_at - interval '72 hours' and t.evidence_at
)
insert into closure_lesson (
  ticket_id, asset_type_id, asset_id, predicted_mode_id, found_mode_id, outcome, probability, evidence_at, found_at,
  lead_h, rules, findings, events, context_log_odds, parts, closed_at
)
select
  t.id,
  a.asset_type_id,
  a.id,
  t.failure_mode_id,
  t.found_failure_mode_id,
  t.outcome,
  p.probability,
  t.evidence_at,
  t.work_finished_at,
  extract(epoch from t.work_finished_at - t.evidence_at) / 3600,
  coalesce(
    (
      select jsonb_agg(
        jsonb_build_object(
          'rule_id', one.id, 'name', one.name, 'version', one.version, 'findings', one.findings,
          'lead_h', extract(epoch from t.work_finished_at - one.first_opened_at) / 3600
        )
        order by one.id
      )
      from (
        select r.id, r.name, r.version, count(*) as findings, min(spoke.opened_at) as first_opened_at
        from spoke
        join rule r on r.id = spoke.rule_id
        group by r.id
      ) one
    ),
    '[]'
  ),
  coalesce(
    (
      select jsonb_agg(
        jsonb_build_object(
          'metric', spoke.metric, 'detector', spoke.detector, 'direction', spoke.direction,
          'severity', spoke.severity, 'opened_at', spoke.opened_at
        )
        order by spoke.opened_at, spoke.id
      )
      from spoke
    ),
    '[]'
  ),
  coalesce((select jsonb_agg(told.code order by told.code) from told), '[]'),
  coalesce(
    (
      select sum(e.log_odds)
      from prediction_evidence e
      where e.prediction_id = t.prediction_id
        and e.kind in ('part_age', 'history')
    ),
    0
  ),
  coalesce(
    (
      select jsonb_agg(
        jsonb_build_object(
          'number', part.number, 'name_en', part.name_en, 'name_zh', part.name_zh, 'predicted', b.predicted,
          'probability', b.probability, 'issued', b.issued, 'used', b.used, 'returned', b.returned
        )
        order by part.number
      )
      from bill_line b
      join part on part.id = b.part_id
      where b.ticket_id = t.id
    ),
    '[]'
  ),
  t.closed_at
from ticket t
join asset a on a.id = t.asset_id
left join prediction p on p.id = t.prediction_id
where t.id = %(ticket_id)s

-- name: forget_lesson
-- Forgets what the closure of a ticket taught, because the ticket was reopened.
delete from closure_lesson
where ticket_id = %(ticket_id)s

-- name: close_predictions
-- Closes the open predictions that a closed ticket has answered: its own, and that of the mode found.
update prediction
set
  status = 'closed',
  updated_at = %(now)s,
  version = version + 1
where status = 'open'
  and (
    id = (select prediction_id from ticket where id = %(ticket_id)s)
    or (
      asset_id = (select asset_id from ticket where id = %(ticket_id)s)
      and failure_mode_id in (
        select unnest(array[failure_mode_id, found_failure_mode_id])
        from ticket
        where id = %(ticket_id)s
      )
    )
  )

-- name: repaired_mode
-- Returns the mode that was repaired: its signature, component, and whether one of its parts was used.
select
  m.signature,
  m.component,
  exists (
    select
    from bill_line b
    join failure_mode_part n on n.part_id = b.part_id
    where b.ticket_id = t.id
      and n.failure_mode_id = m.id
      and b.used > 0
  ) as component_replaced
from ticket t
join failure_mode m on m.id = coalesce(t.found_failure_mode_id, t.failure_mode_id)
where t.id = %(ticket_id)s

-- name: metrics_of_asset
-- Returns the metrics that the devices of an asset report.
select distinct s.metric
from series s
join device d on d.id = s.device_id
where d.asset_id = %(asset_id)s
order by s.metric

-- name: move_anchor
-- Begins a new baseline for a metric of an asset; never moves one back.
insert into anchor (asset_id, metric, anchored_at)
values (%(asset_id)s, %(metric)s, %(anchored_at)s)
on conflict (asset_id, metric) do update
set anchored_at = greatest(anchor.anchored_at, excluded.anchored_at)

-- name: install_component
-- Records that a component of an asset was replaced by a ticket's work.
insert into component_installation (asset_id, component, installed_at, source)
values (%(asset_id)s, %(component)s, %(installed_at)s, 'ticket')
on conflict do nothing

-- name: reject_prediction
-- Rejects the prediction of a cancelled ticket, so that the same evidence does not open it again.
update prediction
set
  status = 'rejected',
  decided_by = %(person_id)s,
  decision_reason = %(reason)s,
  updated_at = %(now)s,
  version = version + 1
where id = %(prediction_id)s
  and status = 'open'
