-- A person may be changed: who changed what is audited, and a version counts the changes. The hash of a password is no
-- word for the audit.
alter table person add column version integer not null default 1;

-- The first argument is the noun, the second the column that names the record. Presence is no change of the register.
create or replace function audit_register() returns trigger language plpgsql as $$
declare
  unsaid_columns constant text[] := array['online', 'last_seen_at', 'last_reading_at', 'last_sequence', 'held',
                                          'clock_ahead_s', 'clock_seen_at', 'sequences_ahead', 'last_message_at',
                                          'password_hash'];
  old_row jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) - unsaid_columns end;
  new_row jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) - unsaid_columns end;
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
  insert into audit (at, person_id, noun, record_id, asset_id, site_id, before, after, reason)
  values (coalesce(nullif(current_setting('wearsight.at', true), '')::timestamptz, now()),
          nullif(current_setting('wearsight.person', true), '')::bigint,
          tg_argv[0], whole ->> tg_argv[1],
          case when tg_argv[0] = 'asset' then whole ->> 'id' else whole ->> 'asset_id' end::bigint,
          case when tg_argv[0] = 'site' then whole ->> 'id' else whole ->> 'site_id' end,
          was, is_now, nullif(current_setting('wearsight.reason', true), ''));
  return null;
end
$$;

create trigger person_is_audited
  after insert or update of name, language, team_id, latitude, longitude, load_limit, active, requester_tier on person
  for each row execute function audit_register('person', 'id');
create trigger person_role_is_audited after insert or delete on person_role
  for each row execute function audit_register('role', 'person_id');
