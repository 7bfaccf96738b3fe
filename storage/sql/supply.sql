-- Supply: what the store has, what is kept for tickets, what takes whose place, and what is to be ordered.

-- name: supply_of
-- What the store has of these parts, how much of it is kept, and how long more would take.
select part.id, part.number, part_supply.on_hand, part_supply.reserved, part.lead_time_days, part.reorder_level,
       (select coalesce(sum(proposal.quantity), 0)::integer
        from reorder_proposal as proposal
        where proposal.part_id = part.id
          and proposal.state = 'ordered')
from part
join part_supply on part_supply.part_id = part.id
where part.id = any(%(part_ids)s::bigint[])

-- name: substitutes_of
-- Which parts may take the place of these, the best first.
select part_substitute.part_id, part_substitute.substitute_id, part.number, part.name_en, part.name_zh
from part_substitute
join part on part.id = part_substitute.substitute_id
where part_substitute.part_id = any(%(part_ids)s::bigint[])
order by part_substitute.part_id, part_substitute.preference

-- name: lock_parts
-- Lets one transaction at a time decide about these parts; always in the order of their ids.
select id
from part
where id = any(%(part_ids)s::bigint[])
order by id
for no key update

-- name: needs_of_ticket
-- What a ticket needs likely enough and neither has been issued nor is kept for it.
select part_id, missing, probability
from (
  select bill_line.part_id, bill_line.probability,
         bill_line.predicted - greatest(bill_line.issued, coalesce(
           (select sum(reservation.quantity)::integer
            from reservation
            where reservation.ticket_id = bill_line.ticket_id
              and reservation.for_part_id = bill_line.part_id
              and reservation.ended_at is null), 0)) as missing
  from bill_line
  where bill_line.ticket_id = %(ticket_id)s
    and bill_line.probability >= %(from_probability)s
) as line
where missing > 0
order by part_id

-- name: reserve
-- Keeps pieces for a ticket, beside those kept before.
insert into reservation (ticket_id, part_id, for_part_id, quantity, reserved_at)
values (%(ticket_id)s, %(part_id)s, %(for_part_id)s, %(quantity)s, %(now)s)
on conflict (ticket_id, part_id, for_part_id) do update
set quantity = case when reservation.ended_at is null then reservation.quantity else 0 end + excluded.quantity,
    reserved_at = excluded.reserved_at,
    ended_at = null

-- name: end_reservations
-- Keeps nothing for a ticket any longer; returns the parts that it concerned.
update reservation
set ended_at = %(now)s
where ticket_id = %(ticket_id)s
  and ended_at is null
returning part_id, for_part_id

-- name: shortage_of
-- How many pieces of a part live tickets that somebody is on are short of, and when the first of them falls due.
select coalesce(sum(line.missing), 0)::integer, min(line.due_at)
from (
  select ticket.due_at,
         bill_line.predicted - greatest(bill_line.issued, coalesce(
           (select sum(reservation.quantity)::integer
            from reservation
            where reservation.ticket_id = bill_line.ticket_id
              and reservation.for_part_id = bill_line.part_id
              and reservation.ended_at is null), 0)) as missing
  from bill_line
  join ticket on ticket.id = bill_line.ticket_id
  where bill_line.part_id = %(part_id)s
    and bill_line.probability >= %(from_probability)s
    and ticket.state not in ('new', 'closed')
) as line
where line.missing > 0

-- name: propose
-- Proposes to order pieces of a part, or corrects the open proposal.
insert into reorder_proposal (part_id, quantity, needed_by, proposed_at)
select %(part_id)s, %(quantity)s, %(needed_by)s, %(now)s
where not exists (
  select
  from reorder_proposal
  where part_id = %(part_id)s
    and state = 'dismissed'
    and quantity >= %(quantity)s
    and decided_at > %(dismissed_since)s
)
on conflict (part_id) where state = 'open' do update
set quantity = excluded.quantity, needed_by = excluded.needed_by

-- name: withdraw
-- Withdraws the open proposal of a part that is no longer short.
update reorder_proposal
set state = 'withdrawn'
where part_id = %(part_id)s
  and state = 'open'

-- name: proposals
-- Proposals to order, newest first.
select proposal.id, part.number, part.name_en, part.name_zh, proposal.quantity, proposal.needed_by, part.lead_time_days,
       proposal.state, proposal.proposed_at, person.name, proposal.decided_at, proposal.note
from reorder_proposal as proposal
join part on part.id = proposal.part_id
left join person on person.id = proposal.decided_by
where (%(id)s::bigint is null or proposal.id = %(id)s)
  and (%(state)s::text is null or proposal.state = %(state)s)
  and (%(before)s::bigint is null or proposal.id < %(before)s)
order by proposal.id desc
limit %(limit)s

-- name: decide
-- Notes what a person decided about an open proposal.
update reorder_proposal
set state = %(state)s, decided_by = %(person_id)s, decided_at = %(now)s, note = %(note)s
where id = %(id)s
  and state = 'open'
returning part_id

-- name: receive_orders
-- Marks what was ordered of a part as received, the oldest order first, as far as the pieces go.
-- An order of which a part came is split: what came is received, the rest is still on its way.
with waiting as (
  select id, quantity, sum(quantity) over (order by id) - quantity as before
  from reorder_proposal
  where part_id = %(part_id)s
    and state = 'ordered'
),
arrived as (
  select id, quantity, least(quantity, %(quantity)s - before) as came
  from waiting
  where before < %(quantity)s
),
came as (
  insert into reorder_proposal (part_id, quantity, needed_by, state, proposed_at, decided_by, decided_at, note)
  select proposal.part_id, arrived.came, proposal.needed_by, 'received', proposal.proposed_at, proposal.decided_by,
         proposal.decided_at, proposal.note
  from arrived
  join reorder_proposal as proposal on proposal.id = arrived.id
  where arrived.came < arrived.quantity
)
update reorder_proposal
set state = case when arrived.came = arrived.quantity then 'received' else 'ordered' end,
    quantity = case when arrived.came = arrived.quantity then arrived.quantity else arrived.quantity - arrived.came end
from arrived
where arrived.id = reorder_proposal.id

-- name: set_supply
-- Says how long a part takes to come and how many pieces the store wants to keep.
update part
set lead_time_days = %(lead_time_days)s, reorder_level = %(reorder_level)s
where id = %(part_id)s

-- name: forget_substitutes
-- Forgets what may take the place of a part.
delete from part_substitute
where part_id = %(part_id)s

-- name: add_substitute
-- Lets a part take the place of another.
insert into part_substitute (part_id, substitute_id, preference)
values (%(part_id)s, %(substitute_id)s, %(preference)s)

-- name: parts_of_bill
-- The parts on the bill of a ticket.
select part_id
from bill_line
where ticket_id = %(ticket_id)s

-- name: expected_parts
-- The parts that a prediction expects, the likeliest first, with the beginning of its window.
select predicted_part.part_id, part.number, part.name_en, part.name_zh, predicted_part.quantity,
       predicted_part.probability, prediction.window_from
from predicted_part
join part on part.id = predicted_part.part_id
join prediction on prediction.id = predicted_part.prediction_id
where predicted_part.prediction_id = %(prediction_id)s
order by predicted_part.probability desc, part.number
