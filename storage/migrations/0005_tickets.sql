-- Tickets, their timeline and clocks, the parts they use, and the requester's confirmation.

-- One sequence for each origin (SPEC T6): device, person, schedule, integration. They end with an error, never wrap.
create sequence tracking_code_d maxvalue 999999 no cycle;
create sequence tracking_code_p maxvalue 999999 no cycle;
create sequence tracking_code_s maxvalue 999999 no cycle;
create sequence tracking_code_i maxvalue 999999 no cycle;

create table ticket (
  id uuid primary key,
  code text not null unique check (code ~ '^[DPSI][0-9]{6}$'),
  kind text not null check (kind in ('preventive', 'corrective', 'inspection', 'production')),
  state text not null check (state in ('new', 'dispatched', 'accepted', 'executing', 'closed')),
  outcome text check (outcome in ('repaired', 'false_alarm', 'no_fault_found', 'deferred', 'cancelled')),
  site_id text not null references site,
  asset_id bigint not null references asset,
  failure_mode_id bigint references failure_mode,
  prediction_id uuid references prediction,
  title_en text not null,
  title_zh text not null,
  description text not null default '',
  priority smallint not null check (priority between 0 and 4),
  priority_reason jsonb not null,
  policy_id bigint not null references policy,
  requester_id bigint references person,
  assignee_id bigint references person,
  opened_at timestamptz not null,
  due_at timestamptz not null,
  -- Wall time of the predicted failure: opened_at + (window_to - evidence_at), frozen at opening (SPEC S4).
  failure_expected_at timestamptz,
  -- Equipment time of the evidence that opened it (equals opened_at for live data and for people's reports).
  evidence_at timestamptz not null,
  expected_response_at timestamptz,
  responded_at timestamptz,
  resolution_code text,
  found_failure_mode_id bigint references failure_mode,
  cause text,
  action_taken text,
  work_finished_at timestamptz,
  resolved_at timestamptz,
  confirmed_at timestamptz,
  -- Who confirmed in the requester's name; null when the requester did, by the link.
  confirmed_by bigint references person,
  closed_at timestamptz,
  last_effective_at timestamptz not null,
  version integer not null default 1,
  -- The end of the timeline's hash chain, so that a cut end is seen.
  timeline_length integer not null default 0,
  timeline_head bytea not null,
  check ((state = 'closed') = (outcome is not null)),
  check ((state = 'closed') = (closed_at is not null))
);
create unique index one_open_ticket on ticket (asset_id, failure_mode_id)
  where state <> 'closed' and failure_mode_id is not null;
create index ticket_live on ticket (state, due_at) where state <> 'closed';
create index ticket_of_asset on ticket (asset_id, opened_at desc);
create index ticket_of_assignee on ticket (assignee_id) where state <> 'closed';

-- Append-only; each row's hash covers the one before it (SPEC T7).
create table ticket_event (
  ticket_id uuid not null references ticket,
  number integer not null check (number > 0),
  at timestamptz not null,
  actor_kind text not null check (actor_kind in ('person', 'requester', 'system')),
  actor_id bigint references person,
  actor_name text not null,
  channel text not null,
  command text not null,
  from_state text,
  to_state text not null,
  effective boolean not null,
  summary text not null,
  facts jsonb not null,
  previous_hash bytea not null,
  hash bytea not null,
  primary key (ticket_id, number)
);

create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation';
end
$$;
create trigger ticket_event_is_append_only before update or delete on ticket_event
  for each row execute function refuse_change();
create trigger ticket_event_is_not_truncated before truncate on ticket_event
  for each statement execute function refuse_change();

create table ticket_clock (
  ticket_id uuid not null references ticket,
  clock text not null check (clock in ('accept', 'respond', 'resolve', 'close', 'promise')),
  calendar_id text references calendar,
  target_s integer not null check (target_s > 0),
  started_at timestamptz not null,
  due_at timestamptz not null,
  stopped_at timestamptz,
  -- When the sweep told people that it is overdue; once.
  noticed_at timestamptz,
  primary key (ticket_id, clock)
);
create index ticket_clock_running on ticket_clock (due_at) where stopped_at is null and noticed_at is null;

create table ticket_finding (
  ticket_id uuid not null references ticket,
  finding_id uuid not null references finding,
  joined_at timestamptz not null,
  primary key (ticket_id, finding_id)
);

create table ticket_task (
  ticket_id uuid not null references ticket,
  number smallint not null,
  text_en text not null,
  text_zh text not null,
  done_at timestamptz,
  done_by bigint references person,
  primary key (ticket_id, number)
);

create table hold (
  ticket_id uuid not null references ticket,
  started_at timestamptz not null,
  reason text not null check (reason in ('parts', 'requester', 'approval', 'access', 'shutdown_window')),
  review_at timestamptz not null,
  ended_at timestamptz,
  -- When the sweep told people that the review date has passed; once.
  noticed_at timestamptz,
  primary key (ticket_id, started_at)
);
create unique index one_hold_at_a_time on hold (ticket_id) where ended_at is null;

create table dispatch_decision (
  id bigint generated always as identity primary key,
  ticket_id uuid not null references ticket,
  at timestamptz not null,
  chosen_id bigint references person,
  candidates jsonb not null
);
create index dispatch_decision_of_ticket on dispatch_decision (ticket_id, at desc);

-- The bill of parts of a ticket: predicted before the engineer leaves, reconciled before it closes (SPEC C2).
create table bill_line (
  ticket_id uuid not null references ticket,
  part_id bigint not null references part,
  predicted integer not null default 0 check (predicted >= 0),
  probability double precision,
  issued integer not null default 0 check (issued >= 0),
  used integer not null default 0 check (used >= 0),
  returned integer not null default 0 check (returned >= 0),
  primary key (ticket_id, part_id),
  check (used + returned <= issued)
);

create table stock_movement (
  id bigint generated always as identity primary key,
  part_id bigint not null references part,
  quantity integer not null check (quantity <> 0),
  reason text not null check (reason in ('receipt', 'issue', 'return', 'count')),
  ticket_id uuid references ticket,
  at timestamptz not null
);
create index stock_movement_of_part on stock_movement (part_id);

create table attachment (
  id uuid primary key,
  ticket_id uuid not null references ticket,
  kind text not null check (kind in ('photo', 'log')),
  file_name text not null,
  media_type text not null,
  content bytea not null,
  added_by bigint references person,
  added_at timestamptz not null
);
create index attachment_of_ticket on attachment (ticket_id);

-- A link is a 128-bit secret for one ticket and one purpose; only its hash is kept (SPEC C2).
create table confirmation_link (
  id bigint generated always as identity primary key,
  ticket_id uuid not null references ticket,
  secret_hash bytea not null unique,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  used_at timestamptz
);

create table survey_answer (
  confirmation_link_id bigint primary key references confirmation_link,
  ticket_id uuid not null references ticket,
  solved boolean not null,
  satisfied boolean not null,
  cause text,
  comment text,
  answered_at timestamptz not null
);

-- What a closure taught (SPEC P4): the mode expected against the mode found, and the rules that spoke for it.
create table closure_lesson (
  ticket_id uuid primary key references ticket,
  asset_type_id text not null references asset_type,
  predicted_mode_id bigint references failure_mode,
  found_mode_id bigint references failure_mode,
  outcome text not null,
  rules jsonb not null,
  parts jsonb not null,
  closed_at timestamptz not null
);
