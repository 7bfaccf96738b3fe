-- name: enqueue
-- Puts a message into the outbox, in the transaction of the change that it tells about.
insert into outbox (kind, ticket_id, body, created_at, due_at)
values (%(kind)s, %(ticket_id)s, %(body)s, %(now)s, %(now)s)
returning id

-- name: lease
-- Takes due messages for a while, the states of one ticket in their order; a lease that ran out can be taken again.
update outbox
set
  leased_until = %(until)s,
  attempts = attempts + 1
where id in (
  select id
  from outbox
  where done_at is null
    and given_up_at is null
    and due_at <= %(now)s
    and (leased_until is null or leased_until <= %(now)s)
    and not (
      kind = 'ticket.state'
      and exists (
        select
        from outbox as earlier
        where earlier.ticket_id = outbox.ticket_id
          and earlier.kind = outbox.kind
          and earlier.id < outbox.id
          and earlier.done_at is null
          and earlier.given_up_at is null
      )
    )
  order by due_at, id
  limit %(limit)s
  for update skip locked
)
returning id, kind, ticket_id, body, attempts, created_at

-- name: record_attempt
-- Records one delivery on one channel.
insert into delivery_attempt (outbox_id, number, channel, at, delivered, detail)
values (%(id)s, %(number)s, %(channel)s, %(now)s, %(delivered)s, %(detail)s)
on conflict (outbox_id, number, channel) do nothing

-- name: mark_done
-- Marks a message after its send; only by the relay whose lease it still is.
update outbox
set
  done_at = %(now)s,
  leased_until = null
where id = %(id)s
  and attempts = %(attempts)s
  and done_at is null

-- name: retry_later
-- Puts a message back for a later attempt.
update outbox
set
  due_at = %(due_at)s,
  leased_until = null
where id = %(id)s
  and attempts = %(attempts)s
  and done_at is null

-- name: give_up
-- Sets a message aside where people see it.
update outbox
set
  given_up_at = %(now)s,
  leased_until = null
where id = %(id)s
  and attempts = %(attempts)s
  and done_at is null

-- name: given_up
-- Returns the messages that were given up, newest first, with the last reason.
select
  o.id, o.kind, t.code, o.attempts, o.created_at, o.given_up_at,
  coalesce((
    select d.detail
    from delivery_attempt d
    where d.outbox_id = o.id
    order by d.number desc
    limit 1
  ), '') as detail
from outbox o
left join ticket t on t.id = o.ticket_id
where o.given_up_at is not null
order by o.given_up_at desc, o.id desc
limit %(limit)s

-- name: try_again
-- Gives a message that was given up another round of attempts.
update outbox
set
  given_up_at = null,
  due_at = %(now)s
where id = %(id)s
  and given_up_at is not null
returning id

-- name: backlog
-- Counts what waits and what was given up, and tells how old the oldest waiting message is.
select
  count(*) filter (where done_at is null and given_up_at is null) as waiting,
  count(*) filter (where given_up_at is not null) as given_up,
  min(created_at) filter (where done_at is null and given_up_at is null) as oldest_at
from outbox
where done_at is null

-- name: put_into_inbox
-- Puts a message into a person's inbox, once however often it is sent.
insert into notification (outbox_id, person_id, text_en, text_zh, ticket_id, created_at)
values (%(outbox_id)s, %(person_id)s, %(text_en)s, %(text_zh)s, %(ticket_id)s, %(now)s)
on conflict (outbox_id, person_id) do nothing

-- name: supervisors_of_site
-- Returns the active supervisors of a site, or its admins where it has none.
select person_id
from (
  select p.id as person_id, r.role, bool_or(r.role = 'supervisor') over () as any_supervisor
  from person p
  join person_role r on r.person_id = p.id
  where p.active
    and r.role in ('supervisor', 'admin')
    and (r.site_id is null or r.site_id = %(site_id)s)
) held
where role = 'supervisor' or not any_supervisor
group by person_id
order by person_id

-- name: admins
-- Returns the active administrators.
select distinct p.id
from person p
join person_role r on r.person_id = p.id
where p.active
  and r.role = 'admin'
order by p.id

-- name: devices_of_asset
-- Returns site and name of the devices that speak for an asset.
select site_id, name
from device
where asset_id = %(asset_id)s
order by site_id, name

-- name: inbox
-- Returns a person's notifications, newest first.
select n.id, n.text_en, n.text_zh, t.code, n.created_at, n.read_at
from notification n
left join ticket t on t.id = n.ticket_id
where n.person_id = %(person_id)s
order by n.id desc
limit %(limit)s

-- name: mark_read
-- Marks a person's notification as read.
update notification
set read_at = %(now)s
where id = %(id)s
  and person_id = %(person_id)s
  and read_at is null

-- name: record_notice
-- Keeps what a channel would have told a person in their language, once; tells whether the person is there.
with kept as (
  insert into recorded_notice (outbox_id, channel, person_id, text, at)
  select
    %(outbox_id)s, %(channel)s, p.id, case p.language when 'zh' then %(text_zh)s else %(text_en)s end, %(now)s
  from person p
  where p.id = %(person_id)s
    and p.active
  on conflict (outbox_id, channel, person_id) do nothing
)
select exists (select from person where id = %(person_id)s and active)
