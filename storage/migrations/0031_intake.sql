-- One intake for every channel, and the kinds of work: what is refused is kept, what is looked up follows (SPEC T8, T10).

-- Null for tickets that came in before anybody noted the way.
alter table ticket add column channel text check (
  channel in ('device', 'console', 'qr', 'api', 'integration', 'schedule')
);
update ticket
set channel = case left(code, 1)
  when 'D' then 'device'
  when 'S' then 'schedule'
  when 'I' then 'integration'
  else (
    select e.channel
    from ticket_event e
    where e.ticket_id = ticket.id
      and e.number = 1
      and e.channel in ('console', 'api')
  )
end;

create index asset_of_serial_number on asset ((upper(btrim(normalize(serial_number, nfkc)))))
  where serial_number is not null;

-- A record of another system has one ticket, however often it is sent. Numbers of others are opaque: E00123 is not 123.
create table ticket_reference (
  source text not null check (length(source) between 1 and 64),
  reference text not null check (length(reference) between 1 and 64),
  ticket_id uuid not null references ticket,
  added_at timestamptz not null,
  primary key (source, reference)
);
create index ticket_reference_of_ticket on ticket_reference (ticket_id);

-- A request for a ticket that was refused: kept whole with its reason until somebody has dealt with it (SPEC Q3).
-- The same request refused for the same reason is one row with a count.
create table intake_refusal (
  id bigint generated always as identity primary key,
  first_at timestamptz not null,
  last_at timestamptz not null,
  times integer not null default 1 check (times > 0),
  channel text not null check (channel in ('device', 'console', 'qr', 'api', 'integration', 'schedule')),
  -- Null while the request names no asset that is there.
  site_id text references site,
  person_id bigint references person,
  reason text not null,
  expected text not null,
  got text not null,
  remedy text not null,
  -- As it came, cut to 64 KiB.
  body text not null check (octet_length(body) <= 65536),
  fingerprint bytea not null,
  settled_at timestamptz,
  settled_by bigint references person,
  settled_note text,
  check ((settled_at is null) = (settled_by is null)),
  check ((settled_at is null) = (settled_note is null))
);
create unique index one_intake_refusal on intake_refusal (fingerprint) where settled_at is null;

-- What is looked up about a new ticket, one row each: pending until the desk has filled it (SPEC T10).
create table ticket_lookup (
  ticket_id uuid not null references ticket,
  name text not null check (name in ('warranty', 'history', 'duplicates', 'knowledge')),
  state text not null default 'pending' check (state in ('pending', 'done', 'failed')),
  body jsonb,
  asked_at timestamptz not null,
  done_at timestamptz,
  attempts smallint not null default 0 check (attempts >= 0),
  try_at timestamptz not null,
  primary key (ticket_id, name),
  check ((state = 'pending') = (done_at is null)),
  check ((state = 'done') = (body is not null))
);
create index ticket_lookup_pending on ticket_lookup (try_at) where state = 'pending';

-- Knowledge. Null asset type: for every machine. Its words are in article_word, weighed by where they stand.
create table article (
  id bigint generated always as identity primary key,
  title_en text not null check (length(title_en) between 1 and 200),
  title_zh text not null check (length(title_zh) between 1 and 200),
  body_en text not null,
  body_zh text not null,
  asset_type_id text references asset_type,
  failure_mode_id bigint references failure_mode,
  created_at timestamptz not null,
  created_by bigint references person,
  changed_at timestamptz not null,
  retired_at timestamptz,
  version integer not null default 1
);
create table article_word (
  word text not null,
  article_id bigint not null references article on delete cascade,
  weight real not null check (weight > 0),
  primary key (word, article_id)
);
create index article_word_of_article on article_word (article_id);

-- A long form, half filled in. One of a kind for each person.
create table draft (
  person_id bigint not null references person on delete cascade,
  form text not null check (form ~ '^[a-z0-9_.-]{1,64}$'),
  body jsonb not null,
  saved_at timestamptz not null,
  version integer not null default 1,
  primary key (person_id, form)
);
create index draft_saved on draft (saved_at);

-- Work that comes round: by the calendar (every n units after first_on, moved to a working day, opened lead_days
-- before) or by a meter (every so much of a counter series).
create table schedule (
  id bigint generated always as identity primary key,
  asset_id bigint not null references asset,
  title_en text not null check (length(title_en) between 1 and 120),
  title_zh text not null check (length(title_zh) between 1 and 120),
  description text not null default '',
  team_id bigint references team,
  checklist jsonb not null,
  unit text check (unit in ('day', 'week', 'month')),
  every integer check (every between 1 and 1000),
  first_on date,
  lead_days smallint check (lead_days between 0 and 366),
  next_number integer check (next_number >= 0),
  series_id integer references series,
  every_amount double precision check (every_amount > 0 and every_amount < 'infinity'),
  -- What the meter has counted since the last round number, and the reading up to which it is counted.
  counted double precision check (counted >= 0 and counted < 'infinity'),
  last_value double precision,
  last_at timestamptz,
  -- A reading lower than the last one: a new meter when the next one is low too, else a slip.
  low_value double precision,
  missed integer not null default 0 check (missed >= 0),
  created_at timestamptz not null,
  created_by bigint references person,
  -- When the desk last looked whether it is due; null: not yet.
  looked_at timestamptz,
  ended_at timestamptz,
  version integer not null default 1,
  check (num_nonnulls(unit, every, first_on, lead_days, next_number) in (0, 5)),
  check (num_nonnulls(series_id, every_amount, counted) in (0, 3)),
  check ((last_value is null) = (last_at is null)),
  check ((unit is null) <> (series_id is null))
);
create index schedule_of_asset on schedule (asset_id);
create index schedule_to_look_at on schedule (looked_at nulls first) where ended_at is null;

alter table ticket
  add column schedule_id bigint references schedule,
  -- The day an inspection is due on, in the site's time zone.
  add column due_on date,
  add constraint due_on_of_a_schedule check (due_on is null or schedule_id is not null);
create unique index one_open_inspection on ticket (schedule_id) where state <> 'closed' and schedule_id is not null;

-- One operation of a production order. A failed check starts it again; what happened before is on the timeline.
create table operation (
  ticket_id uuid not null references ticket,
  number smallint not null check (number > 0),
  name text not null check (length(name) between 1 and 200),
  -- Who is to do it; null: any engineer of the site.
  engineer_id bigint references person,
  quality_check text not null check (length(quality_check) between 1 and 500),
  started_at timestamptz,
  started_by bigint references person,
  finished_at timestamptz,
  finished_by bigint references person,
  checked_at timestamptz,
  checked_by bigint references person,
  check_result text check (check_result in ('passed', 'failed')),
  check_remark text,
  failed_checks smallint not null default 0 check (failed_checks >= 0),
  primary key (ticket_id, number),
  check ((started_at is null) = (started_by is null)),
  check ((finished_at is null) = (finished_by is null)),
  check (finished_at is null or started_at is not null),
  check ((checked_at is null) = (checked_by is null)),
  check ((checked_at is null) = (check_result is null)),
  check (check_result is distinct from 'passed' or finished_at is not null),
  -- Nobody passes their own work.
  check (check_result is distinct from 'passed' or (checked_by <> finished_by and checked_by <> started_by))
);

-- Policies that are stored, open tickets' too, get what this section does by default; their own words stay.
update policy
set body = '{"intake": {"history_days": 30, "duplicate_within_hours": 168, "duplicate_from_score": 0.5,
  "articles_shown": 3, "draft_days": 30}}'::jsonb || body
where name = 'repair';
