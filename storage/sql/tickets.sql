-- name: list_tickets
-- Returns a page of tickets, newest first, below a cursor.
select
  t.id, t.code, t.kind, t.state, t.outcome, t.title_en, t.title_zh, t.priority, t.site_id,
  a.id as asset_id, a.tag as asset_tag, a.name as asset_name, a.asset_type_id,
  m.code as failure_mode, m.name_en as failure_mode_en, m.name_zh as failure_mode_zh,
  t.assignee_id, assignee.name as assignee_name,
  t.opened_at, t.due_at, t.resolved_at, t.confirmed_at, t.closed_at, t.last_effective_at,
  exists (select from hold h where h.ticket_id = t.id and h.ended_at is null) as is_on_hold,
  -- Not "exists": for a page that would be answered by reading the clocks of all tickets once.
  coalesce((
    select true
    from ticket_clock k
    where k.ticket_id = t.id
      and (k.noticed_at is not null or k.stopped_at > k.due_at)
    limit 1
  ), false) as is_breached,
  t.flag, t.version
from ticket t
join asset a on a.id = t.asset_id
left join failure_mode m on m.id = t.failure_mode_id
left join person assignee on assignee.id = t.assignee_id
where (%(states)s::text[] is null or t.state = any (%(states)s::text[]))
  and (%(asset_id)s::bigint is null or t.asset_id = %(asset_id)s::bigint)
  and (%(assignee_id)s::bigint is null or t.assignee_id = %(assignee_id)s::bigint)
  and (%(requester_id)s::bigint is null or t.requester_id = %(requester_id)s::bigint)
  and (%(sites)s::text[] is null or t.site_id = any (%(sites)s::text[]))
  and (%(flags)s::text[] is null or t.flag = any (%(flags)s::text[]))
  and (%(before)s::uuid is null or t.id < %(before)s::uuid)
  and (%(code)s::text is null or t.code = %(code)s::text)
  and (
    %(pattern)s::text is null
    or t.code ilike %(pattern)s::text
    or t.title_en ilike %(pattern)s::text
    or t.title_zh ilike %(pattern)s::text
    or t.asset_id = any (%(asset_ids)s::bigint[])
  )
order by t.id desc
limit %(limit)s

-- name: assets_called
-- Returns the assets whose tag or name has a text in it: looked up first, so that a list is planned for just these.
select id
from asset
where tag ilike %(pattern)s
   or name ilike %(pattern)s

-- name: read_ticket
-- Returns everything about one ticket that is one row.
select
  t.id, t.code, t.kind, t.channel, t.state, t.outcome, t.title_en, t.title_zh, t.description, t.priority, t.priority_reason,
  t.policy_id, t.site_id, s.name as site_name, s.calendar_id,
  a.id as asset_id, a.tag as asset_tag, a.name as asset_name, a.asset_type_id,
  m.code as failure_mode, m.name_en as failure_mode_en, m.name_zh as failure_mode_zh,
  m.effect_en as failure_effect_en, m.effect_zh as failure_effect_zh,
  t.prediction_id, t.requester_id, requester.name as requester_name,
  coalesce(requester.requester_tier, 'standard') as requester_tier, t.priority_override, t.assignee_id, assignee.name as assignee_name,
  t.team_id, team.name as team_name, t.line_stopped, parent.code as parent_code, t.merged_into_id,
  merged.code as merged_into_code, t.reopened_count, t.schedule_id, t.due_on,
  t.opened_at, t.due_at, t.failure_expected_at, t.evidence_at, t.expected_response_at, t.responded_at,
  t.resolution_code, f.code as found_failure_mode, f.name_en as found_failure_mode_en,
  f.name_zh as found_failure_mode_zh, t.cause, t.action_taken, t.work_finished_at, t.resolved_at, t.confirmed_at,
  t.confirmed_by, confirmer.name as confirmed_by_name, t.closed_at, t.last_effective_at, t.version,
  t.timeline_length, t.timeline_head, t.flag,
  array(
    select w.person_id
    from escalation e
    join escalation_step step on step.escalation_id = e.id
    join escalation_told w on w.step_id = step.id
    where e.ticket_id = t.id
      and e.ended_at is null
      and e.acknowledged_at is null
      and e.overtaken_at is null
    group by w.person_id
    order by w.person_id
  ) as reached
from ticket t
join site s on s.id = t.site_id
join asset a on a.id = t.asset_id
left join failure_mode m on m.id = t.failure_mode_id
left join failure_mode f on f.id = t.found_failure_mode_id
left join person requester on requester.id = t.requester_id
left join person assignee on assignee.id = t.assignee_id
left join person confirmer on confirmer.id = t.confirmed_by
left join team on team.id = t.team_id
left join ticket parent on parent.id = t.parent_id
left join ticket merged on merged.id = t.merged_into_id
where t.code = %(code)s

-- name: ticket_clocks
-- Returns the clocks of a ticket in the order in which they fall due.
select clock, calendar_id, target_s, started_at, due_at, stopped_at
from ticket_clock
where ticket_id = %(ticket_id)s
order by due_at, clock

-- name: ticket_holds
-- Returns the holds of a ticket, oldest first.
select started_at, reason, review_at, ended_at
from hold
where ticket_id = %(ticket_id)s
order by started_at

-- name: ticket_tasks
-- Returns the checklist of a ticket.
select
  k.number, k.text_en, k.text_zh, k.done_at, p.name as done_by, k.unit, k.low_limit, k.high_limit, k.opens_ticket,
  named.code as failure_mode, named.name_en as failure_mode_en, named.name_zh as failure_mode_zh,
  k.result, k.reading, k.remark, opened.code as opened_code
from ticket_task k
left join failure_mode named on named.id = k.failure_mode_id
left join person p on p.id = k.done_by
left join ticket opened on opened.id = k.opened_ticket_id
where k.ticket_id = %(ticket_id)s
order by k.number

-- name: ticket_bill
-- Returns the bill of parts of a ticket: what the store has of each part, and what is kept for this ticket.
select
  part.number as part_number, part.name_en, part.name_zh, part.unit,
  b.predicted, b.probability, b.issued, b.used, b.returned,
  coalesce((select sum(m.quantity) from stock_movement m where m.part_id = part.id), 0)::integer as on_hand,
  coalesce((select sum(r.quantity)
            from reservation r
            where r.ticket_id = b.ticket_id and r.for_part_id = b.part_id and r.ended_at is null), 0)::integer as reserved,
  array(select format('%%s × %%s', r.quantity, other.number)
        from reservation r
        join part other on other.id = r.part_id
        where r.ticket_id = b.ticket_id and r.for_part_id = b.part_id and r.part_id <> b.part_id and r.ended_at is null
        order by other.number) as instead
from bill_line b
join part on part.id = b.part_id
where b.ticket_id = %(ticket_id)s
order by part.number

-- name: ticket_findings
-- Returns the findings that a ticket rests on, in the order of the equipment's time.
select
  f.id, f.series_id, f.metric, f.detector, f.direction, f.severity, f.opened_at, f.cleared_at, f.value, f.score,
  f.limit_value, s.unit, f.evidence, tf.joined_at
from ticket_finding tf
join finding f on f.id = tf.finding_id
join series s on s.id = f.series_id
where tf.ticket_id = %(ticket_id)s
order by f.opened_at, f.id

-- name: ticket_prediction
-- Returns the prediction that opened a ticket.
select id, stage, status, probability, evidence_at, first_evidence_at, window_from, window_to
from prediction
where id = %(prediction_id)s

-- name: ticket_evidence
-- Returns what moved the prediction, strongest first.
select kind, reference, ts, log_odds, summary_en, summary_zh
from prediction_evidence
where prediction_id = %(prediction_id)s
order by abs(log_odds) desc, ts desc

-- name: ticket_attachments
-- Returns the files of a ticket without their content.
select f.id, f.kind, f.file_name, f.media_type, octet_length(f.content) as size_bytes, p.name as added_by, f.added_at
from attachment f
left join person p on p.id = f.added_by
where f.ticket_id = %(ticket_id)s
order by f.added_at, f.id

-- name: ticket_timeline
-- Returns the timeline of a ticket with its hash chain, and what the ticket says of its end at the same moment.
select
  e.number, e.at, e.actor_kind, e.actor_id, e.actor_name, e.channel, e.command, e.from_state, e.to_state, e.effective,
  e.summary, e.facts, e.previous_hash, e.hash, t.timeline_length, t.timeline_head
from ticket t
left join ticket_event e on e.ticket_id = t.id
where t.id = %(ticket_id)s
order by e.number

-- name: last_dispatch_decision
-- Returns the newest dispatch decision of a ticket.
select
  d.at, d.chosen_id, p.name as chosen_name, d.how, coalesce(d.considered, jsonb_array_length(d.candidates)) as considered,
  d.fitting, d.excluded, d.candidates
from dispatch_decision d
left join person p on p.id = d.chosen_id
where d.ticket_id = %(ticket_id)s
order by d.at desc, d.id desc
limit 1

-- name: ticket_answers
-- Returns the requester's answers about a ticket, oldest first.
select solved, satisfied, cause, comment, answered_at
from survey_answer
where ticket_id = %(ticket_id)s
order by answered_at

-- name: site_engineers
-- Returns the active engineers of a site: the choices of a dispatch.
select distinct p.id, p.name
from person p
join person_role r on r.person_id = p.id
where p.active
  and r.role = 'engineer'
  and (r.site_id is null or r.site_id = %(site_id)s)
order by p.name, p.id

-- name: modes_of_asset_type
-- Returns the failure modes an engineer may have found.
select code, name_en, name_zh
from failure_mode
where asset_type_id = %(asset_type_id)s
  and retired_at is null
order by code

-- name: ticket_operations
-- Returns the operations of a production order in their order.
select
  o.number, o.name, o.engineer_id, engineer.name as engineer, o.quality_check, o.started_at,
  o.started_by as started_by_id, starter.name as started_by, o.finished_at, o.finished_by as finished_by_id,
  finisher.name as finished_by, o.checked_at, checker.name as checked_by, o.check_result,
  o.check_remark, o.failed_checks
from operation o
left join person engineer on engineer.id = o.engineer_id
left join person starter on starter.id = o.started_by
left join person finisher on finisher.id = o.finished_by
left join person checker on checker.id = o.checked_by
where o.ticket_id = %(ticket_id)s
order by o.number

-- name: ticket_references
-- Returns the records of other systems that a ticket is.
select source, reference
from ticket_reference
where ticket_id = %(ticket_id)s
order by source, reference
