-- name: ask
-- Notes what is to be looked up about a new ticket.
insert into ticket_lookup (ticket_id, name, asked_at, try_at)
select %(ticket_id)s, name, %(now)s, %(now)s
from unnest(%(names)s::text[]) as name

-- name: claim_next
-- Takes a look-up that is due, passing over those that others are at.
select ticket_id, name, attempts
from ticket_lookup
where state = 'pending'
  and try_at <= %(now)s
order by try_at, ticket_id, name
limit 1
for update skip locked

-- name: subject
-- What is looked up about: the ticket with its asset, and the date at the site.
select
  t.id, t.asset_id, a.asset_type_id, t.failure_mode_id, t.title_en, t.title_zh, t.description, t.opened_at,
  t.parent_id, t.policy_id, a.warranty_until, (t.opened_at at time zone c.time_zone)::date as opened_on,
  m.name_en as mode_en, m.name_zh as mode_zh, a.serial_number, a.brand, a.model, a.batch, a.firmware, a.contract_number
from ticket t
join asset a on a.id = t.asset_id
join site s on s.id = t.site_id
join calendar c on c.id = s.calendar_id
left join failure_mode m on m.id = t.failure_mode_id
where t.id = %(ticket_id)s

-- name: subject_of_asset
-- What would be looked up about a ticket of an asset that nobody has opened yet.
select
  a.asset_type_id, m.id as failure_mode_id, a.warranty_until,
  (%(now)s::timestamptz at time zone c.time_zone)::date as opened_on, m.name_en as mode_en, m.name_zh as mode_zh,
  a.serial_number, a.brand, a.model, a.batch, a.firmware, a.contract_number
from asset a
join site s on s.id = a.site_id
join calendar c on c.id = s.calendar_id
left join failure_mode m on m.asset_type_id = a.asset_type_id and m.code = %(failure_mode)s::text
where a.id = %(asset_id)s

-- name: save
-- Saves what a look-up came to, or when to try it again.
update ticket_lookup
set
  state = %(state)s,
  body = %(body)s,
  done_at = %(done_at)s,
  attempts = %(attempts)s,
  try_at = %(try_at)s
where ticket_id = %(ticket_id)s
  and name = %(name)s
  and state = 'pending'

-- name: history
-- The asset's other tickets that were opened since a time, those of the same failure mode first.
select
  t.code, t.title_en, t.title_zh, t.state, t.outcome, t.opened_at,
  coalesce(t.failure_mode_id = %(failure_mode_id)s::bigint, false) as same_mode
from ticket t
where t.asset_id = %(asset_id)s
  and t.id <> %(id)s
  and t.opened_at >= %(since)s
  and t.opened_at <= %(until)s
order by same_mode desc, t.opened_at desc, t.id desc
limit %(limit)s

-- name: candidates
-- The asset's tickets that may be the same as a new one: open, or closed not long ago; never its parent, child or twin.
select t.code, t.title_en, t.title_zh, t.description, t.state, t.opened_at, t.failure_mode_id
from ticket t
where t.asset_id = %(asset_id)s
  and t.id <> %(id)s
  and t.id is distinct from %(parent_id)s::uuid
  and t.parent_id is distinct from %(id)s
  and t.merged_into_id is null
  and t.schedule_id is null
  and (t.state <> 'closed' or t.closed_at >= %(since)s)
order by t.opened_at desc, t.id desc
limit %(limit)s

-- name: lookups
-- What was looked up about a ticket, and what still is.
select name, state, body, asked_at, done_at
from ticket_lookup
where ticket_id = %(ticket_id)s
order by name
