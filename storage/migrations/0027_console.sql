-- What people see and change in the console: why something was changed, how a machine's vibration is classed, and what
-- the envelope of a bearing said when a finding opened.

alter table audit add column reason text;

-- The first argument is the noun, the second the column that names the record. Presence is no change of the register.
create or replace function audit_register() returns trigger language plpgsql as $$
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

create trigger operating_regime_is_audited after insert or update or delete on operating_regime
  for each row execute function audit_register('regimes', 'asset_type_id');

alter table policy add column reason text check (length(reason) between 1 and 1000);

-- By which borders of ISO 20816-3 the vibration velocity of an asset is judged.
create table severity_class (
  asset_id bigint primary key references asset,
  machine_group text not null check (machine_group in ('large', 'medium')),
  foundation text not null check (foundation in ('rigid', 'flexible'))
);
create trigger severity_class_is_audited after insert or update or delete on severity_class
  for each row execute function audit_register('severity_class', 'asset_id');

alter table bearing add column designation text check (length(designation) between 1 and 64);
-- Since when its orders or its usual speed are these; null: since it is known. Older ratios are of other lines.
alter table bearing add column heard_since timestamptz;

-- The shaft's speed during the block, where the device said it: fault frequencies follow it.
alter table waveform add column speed_rpm double precision check (speed_rpm >= 0);

-- Which part of a bearing the newest block named when a finding opened on its asset (SPEC D4, D8).
create table bearing_verdict (
  finding_id uuid not null references finding on delete cascade,
  component text not null,
  metric text not null,
  block_ts timestamptz not null,
  speed_rpm double precision not null check (speed_rpm > 0),
  -- Null: no part stands out of what this bearing showed while it was healthy, or nothing is known of that yet.
  part text check (part in ('bpfo', 'bpfi', 'bsf', 'ftf')),
  healthy_blocks integer not null check (healthy_blocks >= 0),
  -- By part: where its knocks are expected, where they were found, how high, and the highest of the healthy blocks.
  parts jsonb not null,
  judged_at timestamptz not null,
  primary key (finding_id, component)
);
create trigger bearing_verdict_is_frozen before update on bearing_verdict
  for each row execute function refuse_to_rewrite_evidence();
