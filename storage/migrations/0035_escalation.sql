-- Escalation (SPEC N1, N2, N4, ADR 0011): ladders that stand on a ticket, their steps, whom each told on which channel.

-- One ladder on one ticket while what it starts on lasts. Not acknowledged and not ended, it has one open step.
create table escalation (
  id bigint generated always as identity primary key,
  ticket_id uuid not null references ticket,
  ladder text not null,
  starts_on text not null check (starts_on in ('unassigned', 'not_accepted', 'inactive')),
  round integer not null check (round > 0),
  -- What it stands for: the engineer, the team, or the last effective action. Another one begins another round.
  subject text not null,
  -- Null: round the clock.
  calendar_id text references calendar,
  began_at timestamptz not null,
  -- Since when a hold makes it stand still.
  paused_at timestamptz,
  acknowledged_at timestamptz,
  acknowledged_by bigint references person,
  -- Silenced by a graver ladder that starts on the same.
  overtaken_at timestamptz,
  ended_at timestamptz,
  unique (ticket_id, ladder, round),
  check ((acknowledged_at is null) = (acknowledged_by is null))
);
create unique index one_escalation_at_a_time on escalation (ticket_id, ladder) where ended_at is null;

create table escalation_step (
  id bigint generated always as identity primary key,
  escalation_id bigint not null references escalation,
  number integer not null check (number > 0),
  due_at timestamptz not null,
  -- When a sweep took it. Once: the sweep's update names the step as still open.
  done_at timestamptz,
  -- When it came to nothing, because the ladder ended, was acknowledged or overtaken before.
  dropped_at timestamptz,
  unique (escalation_id, number),
  check (done_at is null or dropped_at is null)
);
create unique index one_open_step on escalation_step (escalation_id) where done_at is null and dropped_at is null;
create index escalation_step_due on escalation_step (due_at) where done_at is null and dropped_at is null;

-- One message to one person on one channel; its attempts are those of its outbox row.
create table escalation_told (
  step_id bigint not null references escalation_step,
  person_id bigint not null references person,
  channel text not null,
  outbox_id bigint not null references outbox,
  primary key (step_id, person_id, channel)
);
create index escalation_told_person on escalation_told (person_id, step_id);

-- What the phone and the text messages would have carried, as long as no real channel takes their place.
create table recorded_notice (
  id bigint generated always as identity primary key,
  outbox_id bigint not null references outbox,
  channel text not null,
  person_id bigint not null references person,
  text text not null,
  at timestamptz not null,
  unique (outbox_id, channel, person_id)
);

-- Who is told of the gravest (SPEC N1).
create table site_director (
  site_id text not null references site,
  person_id bigint not null references person,
  primary key (site_id, person_id)
);

-- On the team's board: no effective action for so long. Taken down by an effective action.
alter table ticket
  add column flag text check (flag in ('yellow', 'red'));
create index ticket_flagged on ticket (site_id) where flag is not null;

-- Policies that are frozen on tickets stay readable: they get the ladders that are shipped.
update policy
set body = $policy${"escalation": {"urgent": 1, "hand_over": ["phone", "sms", "inbox"], "ladder": [
  {"name": "unassigned", "starts_on": "unassigned", "runs": "as_priority", "repeat_s": 3600, "rung": [
    {"after_s": 900, "to": ["lead", "supervisors"], "channels": ["inbox"], "effect": "notify"},
    {"after_s": 1500, "to": ["on_call", "supervisors"], "channels": ["phone", "sms"], "effect": "notify"}
  ]},
  {"name": "not_accepted", "starts_on": "not_accepted", "runs": "as_priority", "repeat_s": 1800, "rung": [
    {"after_s": 900, "to": ["lead"], "channels": ["inbox"], "effect": "notify"},
    {"after_s": 1500, "to": ["assignee", "lead", "on_call"], "channels": ["phone", "sms"], "effect": "notify"},
    {"after_s": 2100, "to": ["lead"], "channels": ["inbox", "sms"], "effect": "pass_to_backup"}
  ]},
  {"name": "nudge", "starts_on": "inactive", "runs": "round_the_clock", "repeat_s": 86400, "rung": [
    {"after_s": 86400, "to": ["assignee", "supervisors"], "channels": ["inbox", "sms"], "effect": "notify"}
  ]},
  {"name": "yellow", "starts_on": "inactive", "runs": "round_the_clock", "repeat_s": 86400, "rung": [
    {"after_s": 259200, "to": ["assignee", "lead", "supervisors"], "channels": ["inbox", "sms"], "effect": "yellow"}
  ]},
  {"name": "red", "starts_on": "inactive", "runs": "round_the_clock", "repeat_s": 14400, "rung": [
    {"after_s": 432000, "to": ["directors", "supervisors"], "channels": ["inbox", "sms"], "effect": "red"}
  ]}
]}}$policy$::jsonb || body
where name = 'repair';

update policy
set body = '{"escalation_late_s": 60}'::jsonb || body
where name = 'operations';
