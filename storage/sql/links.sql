-- name: insert_link
-- Links two tickets, unless they are linked in this way already, whichever way round.
insert into ticket_link (ticket_id, other_id, kind, linked_at, linked_by)
values (%(ticket_id)s, %(other_id)s, %(kind)s, %(now)s, %(person_id)s)
on conflict do nothing
returning id

-- name: links_of_ticket
-- Returns the tickets that belong to a ticket, whichever way round: links, splits and merges.
select
  o.code, l.kind, l.is_from_here, o.state, o.title_en, o.title_zh, o.site_id, o.requester_id, l.linked_at,
  p.name as linked_by
from (
  select other_id, kind, true as is_from_here, linked_at, linked_by
  from ticket_link
  where ticket_id = %(ticket_id)s
  union all
  select ticket_id, kind, false, linked_at, linked_by
  from ticket_link
  where other_id = %(ticket_id)s
  union all
  select id, 'split', true, opened_at, null
  from ticket
  where parent_id = %(ticket_id)s
  union all
  select parent_id, 'split', false, opened_at, null
  from ticket
  where id = %(ticket_id)s
    and parent_id is not null
  union all
  select merged_into_id, 'merged', true, closed_at, null
  from ticket
  where id = %(ticket_id)s
    and merged_into_id is not null
  union all
  select id, 'merged', false, closed_at, null
  from ticket
  where merged_into_id = %(ticket_id)s
) l
join ticket o on o.id = l.other_id
left join person p on p.id = l.linked_by
order by l.linked_at, o.code, l.kind

-- name: origins_of_ticket
-- Returns what was merged into a ticket, as it was before.
select
  o.code, o.opened_at, o.channel, coalesce(p.name, o.reporter) as reporter, o.title_en, o.title_zh, o.description,
  o.differences, o.merged_at
from ticket_origin o
left join person p on p.id = o.reporter_id
where o.ticket_id = %(ticket_id)s
order by o.opened_at, o.code

-- name: insert_origin
-- Keeps where a merged ticket came from: when, by which way, from whom, and what it said differently.
insert into ticket_origin (
  ticket_id, code, opened_at, channel, reporter_id, reporter, title_en, title_zh, description, differences, merged_at
)
select
  %(survivor_id)s, t.code, t.opened_at, coalesce(t.channel, e.channel), t.requester_id, e.actor_name, t.title_en,
  t.title_zh, t.description, %(differences)s, %(now)s
from ticket t
join ticket_event e on e.ticket_id = t.id and e.number = 1
where t.id = %(ticket_id)s

-- name: carry_origins
-- Carries on what had been merged into a ticket that is now merged itself.
insert into ticket_origin (
  ticket_id, code, opened_at, channel, reporter_id, reporter, title_en, title_zh, description, differences, merged_at
)
select
  %(survivor_id)s, code, opened_at, channel, reporter_id, reporter, title_en, title_zh, description, differences,
  merged_at
from ticket_origin
where ticket_id = %(ticket_id)s
on conflict do nothing

-- name: carry_findings
-- Joins the findings of a merged ticket to the survivor.
insert into ticket_finding (ticket_id, finding_id, joined_at)
select %(survivor_id)s, finding_id, %(now)s
from ticket_finding
where ticket_id = %(ticket_id)s
on conflict do nothing

-- name: carry_attachments
-- Moves the files of a merged ticket to the survivor.
update attachment
set ticket_id = %(survivor_id)s
where ticket_id = %(ticket_id)s

-- name: carry_bill
-- Adds the parts of a merged ticket to the survivor's bill: every issued piece is accounted for once.
insert into bill_line (ticket_id, part_id, predicted, probability, issued, used, returned)
select %(survivor_id)s, part_id, predicted, probability, issued, used, returned
from bill_line
where ticket_id = %(ticket_id)s
on conflict (ticket_id, part_id) do update
set
  predicted = greatest(bill_line.predicted, excluded.predicted),
  probability = greatest(bill_line.probability, excluded.probability),
  issued = bill_line.issued + excluded.issued,
  used = bill_line.used + excluded.used,
  returned = bill_line.returned + excluded.returned

-- name: empty_bill
-- Takes the carried pieces off the bill of a merged ticket.
update bill_line
set
  issued = 0,
  used = 0,
  returned = 0
where ticket_id = %(ticket_id)s

-- name: adopt
-- Gives the survivor what only the merged ticket knew: requester, failure mode, prediction, the earlier failure.
update ticket survivor
set
  requester_id = coalesce(survivor.requester_id, merged.requester_id),
  failure_mode_id = case
    when survivor.asset_id = merged.asset_id then coalesce(survivor.failure_mode_id, merged.failure_mode_id)
    else survivor.failure_mode_id
  end,
  prediction_id = case
    when survivor.asset_id = merged.asset_id
      and (survivor.failure_mode_id is null or survivor.failure_mode_id = merged.failure_mode_id)
      then coalesce(survivor.prediction_id, merged.prediction_id)
    else survivor.prediction_id
  end,
  failure_expected_at = least(survivor.failure_expected_at, merged.failure_expected_at),
  line_stopped = survivor.line_stopped or merged.line_stopped
from ticket merged
where survivor.id = %(survivor_id)s
  and merged.id = %(ticket_id)s
returning survivor.prediction_id is not distinct from merged.prediction_id as keeps_prediction

-- name: earlier_starts
-- Returns since when the clocks of the tickets that were merged into one had run.
select k.clock, min(k.started_at) as started_at
from ticket_clock k
join ticket t on t.id = k.ticket_id
where t.merged_into_id = %(ticket_id)s
group by k.clock

-- name: open_tickets_of_site
-- Returns open tickets with which a ticket could be joined: those of its asset first, then the newest of its site.
select o.code, o.title_en, o.title_zh
from ticket t
join ticket o on o.site_id = t.site_id and o.id <> t.id and o.state <> 'closed'
where t.id = %(ticket_id)s
order by o.asset_id = t.asset_id desc, o.id desc
limit 50
