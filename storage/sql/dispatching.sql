-- name: tickets_to_dispatch
-- Returns the new tickets in the order in which they should be given out: most urgent first.
select code
from ticket
where state = 'new'
order by priority, due_at, opened_at, code
limit %(limit)s

-- name: take_new_ticket
-- Takes a new ticket for a dispatch decision, unless somebody else holds it at this moment.
select id
from ticket
where code = %(code)s
  and state = 'new'
for no key update skip locked

-- name: lock_assignment
-- Lets one assignment at a time count an engineer's open tickets, so that two at once cannot pass the load limit.
select pg_advisory_xact_lock(hashtext('wearsight assignment'))

-- name: job
-- Returns what a ticket asks of an engineer: skills and place.
select
  coalesce(m.skills, '{}') as skills,
  coalesce(a.latitude, s.latitude) as latitude,
  coalesce(a.longitude, s.longitude) as longitude
from ticket t
join asset a on a.id = t.asset_id
join site s on s.id = t.site_id
left join failure_mode m on m.id = t.failure_mode_id
where t.id = %(ticket_id)s

-- name: candidates
-- Returns everybody who is an engineer anywhere, with what the rules ask about them, seen from a ticket's site.
select
  p.id, p.name,
  bool_or(r.site_id is null or r.site_id = t.site_id) as is_engineer_at_site,
  p.active, p.on_duty, p.load_limit, p.latitude, p.longitude,
  (select count(*) from ticket o where o.assignee_id = p.id and o.state <> 'closed') as open_tickets,
  coalesce(
    (select jsonb_object_agg(k.skill, k.level) from person_skill k where k.person_id = p.id),
    '{}'::jsonb
  ) as skills
from ticket t
cross join person p
join person_role r on r.person_id = p.id and r.role = 'engineer'
where t.id = %(ticket_id)s
  and (%(person_id)s::bigint is null or p.id = %(person_id)s::bigint)
group by p.id, t.site_id
order by p.id

-- name: insert_decision
-- Stores a dispatch decision with everybody who was considered (SPEC X4).
insert into dispatch_decision (ticket_id, at, chosen_id, candidates)
values (%(ticket_id)s, %(now)s, %(chosen_id)s, %(candidates)s)

-- name: last_decision
-- Returns what the newest decision about a ticket came to.
select chosen_id, candidates
from dispatch_decision
where ticket_id = %(ticket_id)s
order by at desc, id desc
limit 1

-- name: was_unassigned_noticed
-- Tells whether the supervisors have been told that nobody fits this ticket.
select 1
from ticket_event
where ticket_id = %(ticket_id)s
  and command = 'unassigned'
