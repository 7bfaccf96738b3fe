-- Parts that are promised, parts that take the place of others, and proposals to order (SPEC P3).

alter table part
  -- Days from order to delivery; null: nobody has said, and the policy's default counts.
  add column lead_time_days smallint check (lead_time_days between 0 and 1000),
  -- Pieces that the store wants to keep free.
  add column reorder_level integer not null default 0 check (reorder_level between 0 and 1000000);

-- What may be taken instead where a part is short, the best first.
create table part_substitute (
  part_id bigint not null references part,
  substitute_id bigint not null references part,
  preference smallint not null check (preference > 0),
  primary key (part_id, substitute_id),
  unique (part_id, preference),
  check (part_id <> substitute_id)
);

-- Pieces kept for a ticket since it was dispatched, of the part it needs or of one that takes its place. What has been
-- issued to the ticket is no longer kept: it is gone from the store.
create table reservation (
  ticket_id uuid not null references ticket,
  part_id bigint not null references part,
  for_part_id bigint not null references part,
  quantity integer not null check (quantity > 0),
  reserved_at timestamptz not null,
  ended_at timestamptz,
  primary key (ticket_id, part_id, for_part_id)
);
create index reservation_active on reservation (part_id) where ended_at is null;

create table reorder_proposal (
  id bigint generated always as identity primary key,
  part_id bigint not null references part,
  quantity integer not null check (quantity > 0),
  -- When the first ticket that is short falls due; null when only the reorder level is not reached.
  needed_by timestamptz,
  state text not null default 'open' check (state in ('open', 'ordered', 'received', 'dismissed', 'withdrawn')),
  proposed_at timestamptz not null,
  decided_by bigint references person,
  decided_at timestamptz,
  note text,
  check ((state in ('ordered', 'received', 'dismissed')) <= (decided_at is not null))
);
create unique index one_open_proposal on reorder_proposal (part_id) where state = 'open';
create index reorder_proposal_of_part on reorder_proposal (part_id, id);

-- What the store has of each part, and how much of it is promised.
create view part_supply as
select part.id as part_id,
       (select coalesce(sum(stock_movement.quantity), 0)::integer
        from stock_movement
        where stock_movement.part_id = part.id) as on_hand,
       (select coalesce(sum(greatest(kept.quantity - coalesce(bill_line.issued, 0), 0)), 0)::integer
        from (select reservation.ticket_id, sum(reservation.quantity)::integer as quantity
              from reservation
              where reservation.part_id = part.id
                and reservation.ended_at is null
              group by reservation.ticket_id) as kept
        left join bill_line on bill_line.ticket_id = kept.ticket_id and bill_line.part_id = part.id) as reserved
from part;
