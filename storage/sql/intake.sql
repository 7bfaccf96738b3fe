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
-- Returns what a ticket takes from its asset: site, criticality, requester and the requester's tier.
select
  a.id, a.tag, a.name, a.site_id, a.criticality, a.requester_id,
  coalesce(r.requester_tier, 'standard') as tier
from asset a
left join person r on r.id = coalesce(%(requester_id)s::bigint, a.requester_id)
where a.id = %(asset_id)s

-- name: tag_of_asset
-- Returns the tag of an asset.
select tag
from asset
where id = %(asset_id)s

-- name: assets_by_serial_number
-- Returns the assets in service with a serial number: usually one, more when two makers count alike.
select id, tag, site_id
from asset
where upper(btrim(normalize(serial_number, nfkc))) = %(serial_number)s
  and status = 'in_service'
  and (%(sites)s::text[] is null or site_id = any (%(sites)s::text[]))
order by id
limit 10

-- name: is_known
-- Tells whether a person, who may be a requester at a site, and a team that works there, are there.
select
  exists (
    select
    from person p
    join person_role r on r.person_id = p.id
    where p.id = %(requester_id)s::bigint
      and p.active
      and (r.site_id is null or r.site_id = %(site_id)s)
  ),
  exists (
    select
    from team
    where id = %(team_id)s::bigint
      and (site_id is null or site_id = %(site_id)s)
  )

-- name: lock_reference
-- Until the transaction ends, be the only one who asks for a record of another system.
select pg_advisory_xact_lock(hashtextextended(%(source)s::text || chr(31) || %(reference)s::text, 0))

-- name: ticket_of_reference
-- Returns the ticket that a record of another system has.
select t.id, t.code
from ticket_reference r
join ticket t on t.id = r.ticket_id
where r.source = %(source)s
  and r.reference = %(reference)s

-- name: insert_reference
-- Notes which record of another system a ticket is.
insert into ticket_reference (source, reference, ticket_id, added_at)
values (%(source)s, %(reference)s, %(ticket_id)s, %(now)s)

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
  id, code, kind, channel, state, site_id, asset_id, failure_mode_id, prediction_id, title_en, title_zh, description, priority,
  priority_reason, policy_id, requester_id, team_id, line_stopped, parent_id, schedule_id, due_on, opened_at, due_at, failure_expected_at, evidence_at,
  last_effective_at, timeline_length, timeline_head
)
values (
  %(id)s, %(code)s, %(kind)s, %(channel)s, 'new', %(site_id)s, %(asset_id)s, %(failure_mode_id)s, %(prediction_id)s, %(title_en)s,
  %(title_zh)s, %(description)s, %(priority)s, %(priority_reason)s, %(policy_id)s, %(requester_id)s, %(team_id)s,
  %(line_stopped)s, %(parent_id)s, %(schedule_id)s, %(due_on)s, %(now)s, %(due_at)s, %(failure_expected_at)s, %(evidence_at)s, %(now)s, 1, %(timeline_head)s
)
on conflict (asset_id, failure_mode_id) where state <> 'closed' and failure_mode_id is not null do nothing
returning id

-- name: add_tasks
-- Puts the failure mode's tasks on the checklist of a new ticket.
insert into ticket_task (
  ticket_id, number, text_en, text_zh, unit, low_limit, high_limit, opens_ticket, failure_mode_id
)
select
  %(ticket_id)s, task.number, task.body ->> 'text_en', task.body ->> 'text_zh', task.body ->> 'unit',
  (task.body ->> 'low_limit')::double precision, (task.body ->> 'high_limit')::double precision,
  coalesce((task.body ->> 'opens_ticket')::boolean, false), named.id
from failure_mode m
cross join jsonb_array_elements(m.tasks) with ordinality as task (body, number)
left join failure_mode named
  on named.asset_type_id = m.asset_type_id
  and named.code = task.body ->> 'failure_mode'
where m.id = %(failure_mode_id)s

-- name: add_own_tasks
-- Puts the request's own tasks on the checklist of a new ticket, after those of the failure mode.
insert into ticket_task (
  ticket_id, number, text_en, text_zh, unit, low_limit, high_limit, opens_ticket, failure_mode_id
)
select
  %(ticket_id)s,
  (select coalesce(max(k.number), 0) from ticket_task k where k.ticket_id = %(ticket_id)s) + row_number() over (),
  task.text_en, task.text_zh, task.unit, task.low_limit, task.high_limit, task.opens_ticket, named.id
from jsonb_to_recordset(%(tasks)s) as task (
  text_en text, text_zh text, unit text, low_limit double precision, high_limit double precision,
  opens_ticket boolean, failure_mode text
)
left join failure_mode named
  on named.code = task.failure_mode
  and named.asset_type_id = (select a.asset_type_id
                             from ticket t
                             join asset a on a.id = t.asset_id
                             where t.id = %(ticket_id)s)

-- name: add_operations
-- Puts the operations of a production order on a new ticket, in their order.
insert into operation (ticket_id, number, name, quality_check, engineer_id)
select %(ticket_id)s, planned.number, planned.name, planned.quality_check, planned.engineer_id
from unnest(%(names)s::text[], %(quality_checks)s::text[], %(engineer_ids)s::bigint[]) with ordinality
  as planned (name, quality_check, engineer_id, number)

-- name: engineers_elsewhere
-- Returns those of some people who are no active engineers at a site.
select id
from unnest(%(person_ids)s::bigint[]) as named (id)
where not exists (
  select
  from person p
  join person_role r on r.person_id = p.id
  where p.id = named.id
    and p.active
    and r.role = 'engineer'
    and (r.site_id is null or r.site_id = %(site_id)s)
)

-- name: plan_bill
-- Puts a part of the bill of materials on the bill of a new ticket.
insert into bill_line (ticket_id, part_id, predicted)
values (%(ticket_id)s, %(part_id)s, %(quantity)s)
on conflict (ticket_id, part_id) do update
set predicted = greatest(bill_line.predicted, excluded.predicted)

-- name: join_prediction_findings
-- Joins the findings behind a prediction to its new ticket.
insert into ticket_finding (ticket_id, finding_id, joined_at)
select %(ticket_id)s, f.id, %(now)s
from prediction_evidence e
join finding f on f.id = case when e.kind = 'finding' then e.reference::uuid end
where e.prediction_id = %(prediction_id)s
  and e.kind = 'finding'
on conflict do nothing
