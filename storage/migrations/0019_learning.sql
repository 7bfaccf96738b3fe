-- What closures taught, and how much each rule is trusted.

-- A lesson says all that learning needs, so that it can be learnt anew from the lessons alone. Times are equipment time.
alter table closure_lesson
  add column asset_id bigint references asset,
  add column probability double precision,
  add column evidence_at timestamptz,
  add column found_at timestamptz,
  add column lead_h double precision,
  add column findings jsonb not null default '[]',
  add column events jsonb not null default '[]',
  add column context_log_odds double precision not null default 0;

-- What is known of the lessons that were written before; their signs were not kept.
update closure_lesson
set
  asset_id = ticket.asset_id,
  evidence_at = ticket.evidence_at,
  found_at = ticket.work_finished_at,
  lead_h = extract(epoch from ticket.work_finished_at - ticket.evidence_at) / 3600,
  probability = (select prediction.probability from prediction where prediction.id = ticket.prediction_id)
from ticket
where ticket.id = closure_lesson.ticket_id;

alter table closure_lesson
  alter column asset_id set not null,
  alter column evidence_at set not null;
create index closure_lesson_of_type on closure_lesson (asset_type_id, ticket_id);
create index closure_lesson_of_asset on closure_lesson (asset_id, found_at);

-- What the lessons of its asset type made of a mode, with the arithmetic; the library's own figures stay as they are.
create table learnt_mode (
  failure_mode_id bigint primary key references failure_mode on delete cascade,
  learnt jsonb not null,
  learnt_at timestamptz not null
);

-- Which state of lessons, library and policy was learnt from last: unchanged, there is nothing to learn.
create table learnt_type (
  asset_type_id text primary key references asset_type,
  fingerprint text not null,
  lessons integer not null check (lessons >= 0),
  learnt_at timestamptz not null
);

-- That a rule be moved to another mode, for its record; a planner decides.
create table rule_proposal (
  id bigint generated always as identity primary key,
  rule_name text not null,
  rule_version integer not null,
  from_mode text not null check (from_mode in ('shadow', 'review', 'auto')),
  to_mode text not null check (to_mode in ('shadow', 'review')),
  figures jsonb not null,
  -- How many closures had judged the rule by then: the same ones propose nothing a second time.
  judged integer not null check (judged > 0),
  status text not null default 'open' check (status in ('open', 'accepted', 'declined', 'withdrawn')),
  proposed_at timestamptz not null,
  decided_at timestamptz,
  decided_by bigint references person,
  decision_reason text,
  foreign key (rule_name, rule_version) references rule (name, version),
  check ((status = 'open') = (decided_at is null))
);
create unique index one_open_rule_proposal on rule_proposal (rule_name) where status = 'open';
create index finding_of_rule on finding (rule_id, opened_at desc);

alter table prediction
  drop constraint prediction_status_check,
  add constraint prediction_status_check check (status in ('open', 'rejected', 'lapsed', 'closed', 'merged')),
  -- Since when the daily ticket budget of the site keeps it from opening a ticket by itself.
  add column held_by_budget_at timestamptz,
  add column snoozed_at timestamptz,
  add column snoozed_until timestamptz,
  -- The gravest finding behind it when it was snoozed; a graver one wakes it.
  add column snoozed_severity text check (snoozed_severity in ('low', 'medium', 'high', 'critical')),
  add column window_corrected_at timestamptz,
  add column merged_into uuid references prediction,
  add check ((status = 'merged') = (merged_into is not null)),
  add check ((snoozed_at is null) = (snoozed_until is null));
create index prediction_held on prediction (asset_id)
  where status = 'open' and (held_by_budget_at is not null or snoozed_until is not null);

-- Evidence about a mode that people said is another one of the asset: it goes to that prediction while it is open.
create table prediction_alias (
  asset_id bigint not null references asset,
  failure_mode_id bigint not null references failure_mode,
  prediction_id uuid not null references prediction,
  primary key (prediction_id, failure_mode_id)
);
create index prediction_alias_of_mode on prediction_alias (asset_id, failure_mode_id);

-- What people decided about predictions: who, when, why, and what it changed.
create table prediction_decision (
  id bigint generated always as identity primary key,
  prediction_id uuid not null references prediction,
  kind text not null check (kind in ('confirm', 'reject', 'merge', 'snooze', 'edit')),
  at timestamptz not null,
  person_id bigint not null references person,
  reason text not null,
  before jsonb not null,
  after jsonb not null
);
create index prediction_decision_of_prediction on prediction_decision (prediction_id, id);
create trigger prediction_decision_is_append_only before update or delete on prediction_decision
  for each row execute function refuse_change();

-- Who published a version of a rule; null for those that were shipped.
alter table rule add column published_by bigint references person;

-- A window that a person corrected stays, whatever comes in later.
create function keep_corrected_window() returns trigger language plpgsql as $$
begin
  new.window_from := old.window_from;
  new.window_to := old.window_to;
  return new;
end
$$;
create trigger prediction_keeps_its_corrected_window before update of window_from, window_to on prediction
  for each row
  when (old.window_corrected_at is not null and new.window_corrected_at is not distinct from old.window_corrected_at)
  execute function keep_corrected_window();
