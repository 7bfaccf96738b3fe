-- Everything that leaves the process goes by the outbox (ADR 0010): leased, sent, then marked.

create table outbox (
  id bigint generated always as identity primary key,
  kind text not null,
  ticket_id uuid references ticket,
  body jsonb not null,
  created_at timestamptz not null,
  due_at timestamptz not null,
  leased_until timestamptz,
  attempts integer not null default 0,
  done_at timestamptz,
  given_up_at timestamptz
);
create index outbox_due on outbox (due_at) where done_at is null and given_up_at is null;

create table delivery_attempt (
  outbox_id bigint not null references outbox,
  number integer not null,
  channel text not null,
  at timestamptz not null,
  delivered boolean not null,
  detail text not null,
  primary key (outbox_id, number, channel)
);

-- The in-app inbox of a person.
create table notification (
  id bigint generated always as identity primary key,
  outbox_id bigint not null references outbox,
  person_id bigint not null references person,
  text_en text not null,
  text_zh text not null,
  ticket_id uuid references ticket,
  created_at timestamptz not null,
  read_at timestamptz,
  unique (outbox_id, person_id)
);

-- Answers of commands sent with an Idempotency-Key, kept so that a repeat gets the same answer.
create table idempotency (
  person_id bigint not null references person,
  key text not null check (length(key) between 1 and 255),
  request_hash bytea not null,
  status integer not null,
  body jsonb not null,
  created_at timestamptz not null,
  primary key (person_id, key)
);
