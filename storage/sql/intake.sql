-- name: next_code_d
-- Takes the next number of tickets that devices open.
select nextval('tracking_code_d')

-- name: next_code_p
-- Takes the next number of tickets that people open.
select nextval('tracking_code_p')

-- name: next_code_s
-- Takes the next number of tickets that a schedule opens.
select nextval('tracking_code_s')

-- name: next_code_i
-- Takes the next number of tickets that other systems open.
select nextval('tracking_code_i')

-- name: prediction_to_open
-- Returns a prediction with its failure mode and asset, locked so that it is opened once.
select
  p.asset_id, p.failure_mode_id, p.evidence_at, p.window_to,
  m.code as failure_mode, m.name_en as failure_mode_en, m.name_zh as failure_mode_zh, m.severity
from prediction p
join failure_mode m on m.id = p.failure_mode_id
where p.id = %(prediction_id)s
  and p.status = 'open'
for no key update of p

-- name: asset_for_ticket
-- Returns what a ticket takes from its asset: site, calendar, criticality, requester and the requester's tier.
select
  a.id, a.tag, a.name, a.site_id, s.calendar_id, a.criticality, a.requester_id,
  coalesce(r.requester_tier, 'standard') as tier
from asset a
join site s on s.id = a.site_id
left join person r on r.id = coalesce(%(requester_id)s::bigint, a.requester_id)
where a.id = %(asset_id)s

-- name: mode_for_report
-- Returns a failure mode of the asset's type.
select m.id, m.code, m.name_en, m.name_zh, m.severity
from failure_mode m
join asset a on a.asset_type_id = m.asset_type_id
where a.id = %(asset_id)s
  and m.code = %(code)s

-- name: open_ticket_of_mode
-- Returns the open ticket of a failure mode of an asset.
select code
from ticket
where asset_id = %(asset_id)s
  and failure_mode_id = %(failure_mode_id)s
  and state <> 'closed'

-- name: insert_ticket
-- Opens a ticket, unless one is open for the same failure mode of the same asset.
insert into ticket (
  id, code, kind, state, site_id, asset_id, failure_mode_id, prediction_id, title_en, title_zh, description, priority,
  priority_reason, policy_id, requester_id, team_id, line_stopped, parent_id, opened_at, due_at, failure_expected_at, evidence_at,
  last_effective_at, timeline_length, timeline_head
)
values (
  %(id)s, %(code)s, %(kind)s, 'new', %(site_id)s, %(asset_id)s, %(failure_mode_id)s, %(prediction_id)s, %(title_en)s,
  %(title_zh)s, %(description)s, %(priority)s, %(priority_reason)s, %(policy_id)s, %(requester_id)s, %(team_id)s,
  %(line_stopped)s, %(parent_id)s, %(now)s, %(due_at)s, %(failure_expected_at)s, %(evidence_at)s, %(now)s, 1, %(timeline_head)s
)
on conflict (asset_id, failure_mode_id) where state <> 'closed' and failure_mode_id is not null do nothing
returning id

-- name: add_tasks
-- Puts the failure mode's tasks on the checklist of a new ticket.
insert into ticket_task (ticket_id, number, text_en, text_zh)
select %(ticket_id)s, task.number, task.body ->> 'text_en', task.body ->> 'text_zh'
from failure_mode m
cross join jsonb_array_elements(m.tasks) with ordinality as task (body, number)
where m.id = %(failure_mode_id)s

-- name: join_prediction_findings
-- Joins the findings behind a prediction to its new ticket.
insert into ticket_finding (ticket_id, finding_id, joined_at)
select %(ticket_id)s, f.id, %(now)s
from prediction_evidence e
join finding f on f.id = case when e.kind = 'finding' then e.reference::uuid end
where e.prediction_id = %(prediction_id)s
  and e.kind = 'finding'
on conflict do nothing
