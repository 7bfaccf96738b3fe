-- Calendars that change: their versions, holidays by country, people's own calendars, and expected times to resolution.

alter table calendar
  -- ISO 3166: whose official holidays the calendar keeps; null: only the days that people enter.
  add column country text check (country ~ '^[A-Z]{2}$'),
  add column subdivision text,
  -- The last day whose holidays are official: announced, or fixed by law. Null without a country.
  add column official_until date,
  add column version integer not null default 1 check (version > 0),
  add constraint subdivision_of_a_country check (subdivision is null or country is not null);

alter table calendar_day
  add column source text not null default 'entered' check (source in ('entered', 'official'));

-- A calendar as it was before it changed: clocks planned on it are read off with it and then planned anew.
create table calendar_before (
  calendar_id text not null references calendar on delete cascade,
  version integer not null,
  body jsonb not null,
  overtaken_at timestamptz not null,
  primary key (calendar_id, version)
);

create trigger calendar_is_audited after insert or update or delete on calendar
  for each row execute function audit_register('calendar', 'id');

alter table ticket_clock
  -- The version of the calendar that due_at was planned on; null round the clock.
  add column calendar_version integer;
update ticket_clock set calendar_version = 1 where calendar_id is not null;

-- A requester elsewhere: their calendar counts when the policy says so (SPEC S3).
alter table person add column calendar_id text references calendar;

-- How long tickets took to resolve, by what they have in common; null: whatever it is. Working time of the resolve clock.
create table resolution_estimate (
  kind text,
  priority smallint,
  failure_mode_id bigint references failure_mode on delete cascade,
  tickets integer not null check (tickets > 0),
  -- Seconds at the quantiles that ticketing/eta.py names, rising.
  seconds double precision[] not null,
  learned_at timestamptz not null
);
create unique index one_estimate_a_group on resolution_estimate (
  coalesce(kind, ''), coalesce(priority, -1), coalesce(failure_mode_id, 0)
);

update policy
set body = body || '{"sla_calendar": {"follows": "site"}}'
where name = 'repair'
  and not body ? 'sla_calendar';
