-- People, their teams and skills, the calendars they work by, and the credentials they sign in with.

create table calendar (
  id text primary key check (id ~ '^[a-z0-9_-]{1,64}$'),
  name text not null,
  time_zone text not null
);

-- One stretch of working time on one weekday (1 = Monday ... 7 = Sunday), local to the calendar's time zone.
create table calendar_segment (
  calendar_id text not null references calendar on delete cascade,
  weekday smallint not null check (weekday between 1 and 7),
  starts time not null,
  ends time not null,
  primary key (calendar_id, weekday, starts),
  check (starts < ends)
);

-- A day that differs from its weekday: a holiday (working = false) or an adjusted working day (working = true).
create table calendar_day (
  calendar_id text not null references calendar on delete cascade,
  day date not null,
  working boolean not null,
  name text not null,
  primary key (calendar_id, day)
);

create table site (
  id text primary key check (id ~ '^[A-Za-z0-9_-]{1,64}$'),
  name text not null,
  calendar_id text not null references calendar,
  latitude double precision not null check (latitude between -90 and 90),
  longitude double precision not null check (longitude between -180 and 180)
);

create table team (
  id bigint generated always as identity primary key,
  name text not null unique
);

create table person (
  id bigint generated always as identity primary key,
  login text not null unique check (login ~ '^[a-z0-9._-]{1,64}$'),
  name text not null,
  language text not null default 'en' check (language in ('en', 'zh')),
  password_hash text,
  team_id bigint references team,
  latitude double precision check (latitude between -90 and 90),
  longitude double precision check (longitude between -180 and 180),
  load_limit smallint not null default 3 check (load_limit between 0 and 50),
  on_duty boolean not null default true,
  active boolean not null default true,
  -- The tier of a requester: raises priority and shortens targets (SPEC S1, S2).
  requester_tier text not null default 'standard' check (requester_tier in ('standard', 'vip')),
  created_at timestamptz not null
);

-- A role held at one site, or at every site when site_id is null.
create table person_role (
  person_id bigint not null references person on delete cascade,
  role text not null check (role in ('admin', 'planner', 'supervisor', 'engineer', 'requester', 'integration')),
  site_id text references site,
  unique nulls not distinct (person_id, role, site_id)
);

create table person_skill (
  person_id bigint not null references person on delete cascade,
  skill text not null check (skill ~ '^[a-z0-9_-]{1,64}$'),
  level smallint not null default 3 check (level between 1 and 5),
  primary key (person_id, skill)
);

-- Bearer tokens and browser sessions. Only the SHA-256 of the secret is kept.
create table credential (
  id bigint generated always as identity primary key,
  person_id bigint not null references person on delete cascade,
  kind text not null check (kind in ('token', 'session')),
  name text not null,
  secret_hash bytea not null unique,
  created_at timestamptz not null,
  expires_at timestamptz,
  revoked_at timestamptz
);
create index credential_of_person on credential (person_id);

-- Failed sign-ins, so that guessing slows down whichever process answers.
create table sign_in_failure (
  login text not null,
  address text not null,
  at timestamptz not null
);
create index sign_in_failure_recent on sign_in_failure (login, at);

-- What is configured by people and frozen onto tickets: a version is never changed, only superseded.
create table policy (
  id bigint generated always as identity primary key,
  name text not null,
  version integer not null check (version > 0),
  body jsonb not null,
  published_at timestamptz not null,
  published_by bigint references person,
  unique (name, version)
);
