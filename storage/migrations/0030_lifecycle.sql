-- What moves a ticket beyond its states (SPEC T9): hand-overs, links, merges, checks with readings, reopening.

-- A hand-over keeps what the receiving team was told, and what that team thought of it, once.
create table hand_over (
  id bigint generated always as identity primary key,
  ticket_id uuid not null references ticket,
  at timestamptz not null,
  from_person_id bigint references person,
  from_team_id bigint references team,
  to_team_id bigint not null references team,
  asked text not null,
  history text not null,
  serial_number text not null,
  requester text not null,
  rating smallint check (rating between 1 and 5),
  comment text,
  rated_by bigint references person,
  rated_at timestamptz,
  check (from_team_id <> to_team_id),
  check ((rating is null) = (rated_at is null) and (rating is null) = (rated_by is null))
);
create index hand_over_of_ticket on hand_over (ticket_id, id);

create table ticket_link (
  id bigint generated always as identity primary key,
  ticket_id uuid not null references ticket,
  other_id uuid not null references ticket,
  kind text not null check (kind in ('related', 'causes', 'duplicates')),
  linked_at timestamptz not null,
  linked_by bigint references person,
  check (ticket_id <> other_id)
);
-- One of a kind between two tickets, whichever way round: nothing both causes and is caused by another.
create unique index one_link_of_a_kind on ticket_link (
  least(ticket_id, other_id), greatest(ticket_id, other_id), kind
);
create index ticket_link_of_ticket on ticket_link (ticket_id);
create index ticket_link_of_other on ticket_link (other_id);

-- What was merged into a ticket, as it was before: a merged ticket keeps its origins.
create table ticket_origin (
  ticket_id uuid not null references ticket,
  code text not null references ticket (code),
  opened_at timestamptz not null,
  channel text not null,
  reporter_id bigint references person,
  reporter text,
  title_en text not null,
  title_zh text not null,
  description text not null,
  -- Field by field, what the two said differently: {"priority": {"survivor": 2, "merged": 1}}.
  differences jsonb not null,
  merged_at timestamptz not null,
  primary key (ticket_id, code)
);

-- A task may be a check: with a reading, its limits, and a ticket that a failure opens.
alter table ticket_task
  add column unit text check (length(unit) between 1 and 16),
  add column low_limit double precision,
  add column high_limit double precision,
  add column opens_ticket boolean not null default false,
  add column failure_mode_id bigint references failure_mode,
  add column result text check (result in ('ok', 'failed', 'not_applicable')),
  add column reading double precision,
  add column remark text,
  add column opened_ticket_id uuid references ticket,
  add constraint limits_in_order check (low_limit <= high_limit),
  add constraint finite_limits check (
    low_limit not in ('NaN', 'Infinity', '-Infinity') and high_limit not in ('NaN', 'Infinity', '-Infinity')
  ),
  add constraint finite_reading check (reading not in ('NaN', 'Infinity', '-Infinity'));

update ticket_task
set result = 'ok'
where done_at is not null;

alter table ticket_task
  add constraint done_with_a_result check ((done_at is null) = (result is null));

create index ticket_merged_into on ticket (merged_into_id) where merged_into_id is not null;
create index ticket_parent on ticket (parent_id) where parent_id is not null;

-- Policies frozen on tickets stay readable: what they do not say is as shipped.
update policy
set body = jsonb_build_object('lifecycle', jsonb_build_object('reopen_within_days', 30, 'review_within_days', 90)) || body
where name = 'repair'
  and not body ? 'lifecycle';
