-- What is wrong with the service itself, and which of its processes live.

-- One row per stretch of time that something was wrong; open while cleared_at is null.
create table service_alarm (
  id bigint generated always as identity primary key,
  kind text not null,
  subject text not null,
  -- Null: it concerns the whole service.
  site_id text references site,
  detail jsonb not null,
  raised_at timestamptz not null,
  cleared_at timestamptz
);
create unique index one_alarm_at_a_time on service_alarm (kind, subject) where cleared_at is null;
create index service_alarm_history on service_alarm (raised_at);

-- Written every few seconds by each process that finished a round of its work: an old one means that it is stuck.
create table heartbeat (
  process text primary key,
  beat_at timestamptz not null
);
create index outbox_given_up on outbox (given_up_at) where given_up_at is not null and done_at is null;

alter table heartbeat set (fillfactor = 50);
