-- Who is at work when, what each may do and where each may go; and what a dispatch decision left out (SPEC X1-X6).

-- A person with neither a shift nor a place in a rota is at work whenever on duty, as before there were plans.
create table shift (
  id bigint generated always as identity primary key,
  person_id bigint not null references person on delete cascade,
  starts_at timestamptz not null,
  ends_at timestamptz not null,
  -- Reachable, but only sent to what cannot wait.
  on_call boolean not null default false,
  unique (person_id, starts_at, on_call),
  constraint shift_has_a_length check (ends_at > starts_at and ends_at <= starts_at + interval '7 days')
);
create index shift_by_end on shift (ends_at);

-- A cycle of days that repeats for ever; each member is so many days into it on the first day.
create table rota (
  id bigint generated always as identity primary key,
  team_id bigint not null references team,
  name text not null unique,
  time_zone text not null,
  first_day date not null,
  last_day date,
  cycle_days smallint not null check (cycle_days between 1 and 366),
  on_call boolean not null default false,
  check (last_day >= first_day)
);
create index rota_of_team on rota (team_id);

-- A day of the cycle that is worked; one that is not listed is free. A span that ends no later than it starts runs
-- into the next day, so 08:00 to 08:00 is a whole day.
create table rota_day (
  rota_id bigint not null references rota on delete cascade,
  number smallint not null check (number >= 0),
  starts time not null,
  ends time not null,
  primary key (rota_id, number)
);

create table rota_member (
  rota_id bigint not null references rota on delete cascade,
  person_id bigint not null references person on delete cascade,
  offset_days smallint not null check (offset_days between 0 and 365),
  primary key (rota_id, person_id)
);
create index rota_member_of_person on rota_member (person_id);

create table absence (
  id bigint generated always as identity primary key,
  person_id bigint not null references person on delete cascade,
  starts_at timestamptz not null,
  ends_at timestamptz not null,
  -- Stands in for the absent one: is at work when they would be, and counts as one of their team.
  delegate_id bigint references person,
  reason text not null,
  unique (person_id, starts_at),
  check (ends_at > starts_at),
  constraint no_delegate_of_oneself check (delegate_id <> person_id)
);
create index absence_by_end on absence (ends_at);

create table certificate (
  id bigint generated always as identity primary key,
  person_id bigint not null references person on delete cascade,
  name text not null check (name ~ '^[a-z0-9_-]{1,64}$'),
  valid_from date not null,
  -- The last day on which it is valid; null: for ever.
  valid_to date,
  unique (person_id, name, valid_from),
  check (valid_to >= valid_from)
);

-- What may only be done with a certificate: at a site, on a type of asset, for a failure mode, or any of these at once.
create table certificate_needed (
  id bigint generated always as identity primary key,
  certificate text not null check (certificate ~ '^[a-z0-9_-]{1,64}$'),
  site_id text references site,
  asset_type_id text references asset_type,
  failure_mode_id bigint references failure_mode,
  unique nulls not distinct (certificate, site_id, asset_type_id, failure_mode_id),
  check (num_nonnulls(site_id, asset_type_id, failure_mode_id) > 0)
);

-- Brands and sites narrow only whom they are listed for: who has none listed works on every brand, and enters every
-- site of their role.
create table person_brand (
  person_id bigint not null references person on delete cascade,
  brand text not null,
  primary key (person_id, brand)
);

create table person_site_access (
  person_id bigint not null references person on delete cascade,
  site_id text not null references site,
  valid_to date,
  primary key (person_id, site_id)
);

-- Repairs of the last year by engineer and asset type, and how many of them held; counted anew by the desk.
create table first_time_fix (
  person_id bigint not null references person on delete cascade,
  asset_type_id text not null references asset_type on delete cascade,
  repaired integer not null check (repaired > 0),
  held integer not null check (held between 0 and repaired),
  primary key (person_id, asset_type_id)
);

create index ticket_closed_lately on ticket (closed_at) where state = 'closed';
create index ticket_closed_by on ticket (assignee_id, closed_at) where state = 'closed';
create index ticket_to_dispatch on ticket (priority, due_at) where state = 'new';
create index dispatch_decision_by_time on dispatch_decision (at);

-- ``how`` the decision came about; of many candidates the best are kept whole and the rest are counted by rule.
alter table dispatch_decision
  add column how text not null default 'round' check (how in ('round', 'urgent', 'fallback', 'frozen')),
  add column considered integer,
  add column fitting integer,
  add column excluded jsonb not null default '{}'::jsonb;

-- Everybody whose shift or rota has them at work, or on call, at a moment. A day of a rota is wall time of its zone,
-- so that a clock change neither doubles nor loses an hour of anybody's plan; yesterday's may still run.
create function at_work(moment timestamptz)
returns table (person_id bigint, team_id bigint, on_call boolean, ends_at timestamptz)
language sql stable
as $$
  select s.person_id, p.team_id, s.on_call, s.ends_at
  from shift s
  join person p on p.id = s.person_id
  where s.ends_at > moment
    and s.starts_at <= moment
  union all
  select m.person_id, r.team_id, r.on_call, span.ends_at
  from rota r
  join rota_member m on m.rota_id = r.id
  cross join (values (0), (1)) as back (days)
  cross join lateral (select (moment at time zone r.time_zone)::date - back.days) as began (day)
  join rota_day d
    on d.rota_id = r.id
    and d.number = mod(mod(began.day - r.first_day + m.offset_days, r.cycle_days) + r.cycle_days, r.cycle_days)
  cross join lateral (
    select
      (began.day + d.starts) at time zone r.time_zone,
      (began.day + d.ends + case when d.ends <= d.starts then interval '1 day' else interval '0' end)
        at time zone r.time_zone
  ) as span (starts_at, ends_at)
  where began.day >= r.first_day
    and (r.last_day is null or began.day <= r.last_day)
    and moment >= span.starts_at
    and moment < span.ends_at
$$;

-- Frozen versions stay readable: what the section has not said is what it did before, or what is shipped now.
update policy
set body = jsonb_set(
  body,
  '{dispatch}',
  jsonb_build_object(
    'least_level', 1, 'on_call_priority', 1, 'bonus_from', 0.85, 'same_fault_h', 72,
    'fallback_after_s', 900, 'urgent_fallback_after_s', 0, 'remind_every_s', 1800
  )
  || (body -> 'dispatch')
  || jsonb_build_object(
    'weights',
    jsonb_build_object('first_time_fix', 0.2, 'same_fault', 0.1, 'continuity', 0.1) || (body -> 'dispatch' -> 'weights')
  )
)
where name = 'repair'
  and body ? 'dispatch';
