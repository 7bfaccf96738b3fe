-- name: offered
-- Returns what an engineer needs to know of tickets before they take one.
select
  t.code, t.version, t.title_en, t.title_zh, t.priority, t.due_at, t.opened_at, a.id as asset_id, a.tag as asset_tag,
  a.name as asset_name, s.name as site_name
from ticket t
join asset a on a.id = t.asset_id
join site s on s.id = t.site_id
where t.code = any(%(codes)s)

-- name: lock_claimed
-- Locks a ticket that somebody wants to take; what is joined would be older than the lock, so who has it is asked after.
select id
from ticket
where code = %(code)s
for no key update

-- name: holder
-- Returns who has a ticket.
select p.id, p.name
from ticket t
join person p on p.id = t.assignee_id
where t.code = %(code)s
