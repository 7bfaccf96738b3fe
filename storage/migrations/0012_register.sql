-- The whole register (SPEC E1): nameplates, papers, and who changed what. A version counts the changes of a record.

alter table site add column version integer not null default 1;
alter table area add column version integer not null default 1;
alter table device add column version integer not null default 1;

alter table asset
  add column status text not null default 'in_service' check (status in ('in_service', 'decommissioned')),
  add column brand text,
  add column model text,
  add column batch text,
  add column purchase_date date,
  add column warranty_until date,
  add column firmware text,
  add column contract_number text,
  add column location text,
  add column version integer not null default 1;

-- The nameplate of a part of an asset. When it was fitted is evidence and stands in component_installation alone.
create table component (
  asset_id bigint not null references asset,
  code text not null check (code ~ '^[a-z0-9_-]{1,64}$'),
  name text,
  serial_number text,
  brand text,
  model text,
  version integer not null default 1,
  primary key (asset_id, code)
);

create table register_file (
  id uuid primary key,
  asset_id bigint not null references asset,
  kind text not null check (kind in ('contract', 'manual')),
  file_name text not null,
  media_type text not null,
  size_bytes bigint not null,
  added_by bigint not null references person,
  added_at timestamptz not null
);
create index register_file_of_asset on register_file (asset_id);

-- Apart from its description, so that lists and the audit never read the bytes.
create table register_file_content (
  file_id uuid primary key references register_file on delete cascade,
  content bytea not null
);

-- Who changed what: one row a change, written by the transaction that makes it. person_id is null for what no signed-in
-- person did. A change of a record has in before and after only the columns that differ.
create table audit (
  id bigint generated always as identity primary key,
  at timestamptz not null,
  person_id bigint references person,
  noun text not null,
  record_id text not null,
  asset_id bigint,
  site_id text,
  before jsonb,
  after jsonb
);
create index audit_of_asset on audit (asset_id, id) where asset_id is not null;
create index audit_of_record on audit (noun, record_id, id);

create function refuse_to_rewrite_audit() returns trigger language plpgsql as $$
begin
  raise exception 'the audit is append-only: rows are never changed or removed' using errcode = 'check_violation';
end
$$;
create trigger audit_is_append_only before update or delete or truncate on audit
  for each statement execute function refuse_to_rewrite_audit();

-- The first argument is the noun, the second the column that names the record. Presence is no change of the register.
create function audit_register() returns trigger language plpgsql as $$
declare
  volatile_columns constant text[] := array['online', 'last_seen_at', 'last_reading_at', 'last_sequence', 'held',
                                            'clock_ahead_s', 'clock_seen_at', 'sequences_ahead', 'last_message_at'];
  old_row jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) - volatile_columns end;
  new_row jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) - volatile_columns end;
  whole jsonb := coalesce(new_row, old_row);
  was jsonb := old_row;
  is_now jsonb := new_row;
begin
  if tg_op = 'UPDATE' then
    select coalesce(jsonb_object_agg(key, value), '{}') into was
    from jsonb_each(old_row) where new_row -> key is distinct from value;
    select coalesce(jsonb_object_agg(key, value), '{}') into is_now
    from jsonb_each(new_row) where old_row -> key is distinct from value;
    if is_now = '{}' then
      return null;
    end if;
  end if;
  insert into audit (at, person_id, noun, record_id, asset_id, site_id, before, after)
  values (coalesce(nullif(current_setting('wearsight.at', true), '')::timestamptz, now()),
          nullif(current_setting('wearsight.person', true), '')::bigint,
          tg_argv[0], whole ->> tg_argv[1],
          case when tg_argv[0] = 'asset' then whole ->> 'id' else whole ->> 'asset_id' end::bigint,
          case when tg_argv[0] = 'site' then whole ->> 'id' else whole ->> 'site_id' end,
          was, is_now);
  return null;
end
$$;

create trigger site_is_audited after insert or update or delete on site
  for each row execute function audit_register('site', 'id');
create trigger area_is_audited after insert or update of name, site_id or delete on area
  for each row execute function audit_register('area', 'id');
create trigger asset_is_audited after insert or update or delete on asset
  for each row execute function audit_register('asset', 'id');
create trigger component_is_audited after insert or update or delete on component
  for each row execute function audit_register('component', 'code');
create trigger installation_is_audited after insert on component_installation
  for each row when (new.source = 'import') execute function audit_register('installation', 'component');
create trigger register_file_is_audited after insert or delete on register_file
  for each row execute function audit_register('file', 'id');
-- Only these columns are the register's; ingest writes the others with every batch.
create trigger device_is_audited
  after insert or delete or update of site_id, name, asset_id, time_policy, expected_interval_s, feed_id, feed_key
  on device
  for each row execute function audit_register('device', 'id');
create trigger feed_is_audited
  after insert or delete or update of name, site_id, topic, decoder, settings, enabled, silent_after_s on feed
  for each row execute function audit_register('feed', 'id');

create index quarantine_of_address on quarantine (site_name, device_name, id)
  where replay_result is distinct from 'stored';
create index quarantine_of_reason on quarantine (reason, id) where replay_result is distinct from 'stored';
create index quarantine_of_feed on quarantine (feed_id) where feed_id is not null;
