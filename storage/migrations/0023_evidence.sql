-- What a detector saw, frozen with its finding: it outlives the retention of readings (SPEC D8).

-- The series of a finding up to the moment it opened, reduced as a chart is; a row of nulls is a gap in the data.
-- Several series for a finding over several metrics. The rule is not copied: a version of a rule is never changed.
create table evidence_pack (
  finding_id uuid not null references finding on delete cascade,
  series_id integer not null references series,
  from_ts timestamptz not null,
  to_ts timestamptz not null,
  level text not null check (level in ('raw', '1m', '1h', '1d')),
  is_raw boolean not null,
  -- Milliseconds since 1970, and the first, lowest, highest and last reading of each pixel.
  ts double precision[] not null,
  first double precision[] not null,
  lowest double precision[] not null,
  highest double precision[] not null,
  last double precision[] not null,
  frozen_at timestamptz not null,
  primary key (finding_id, series_id),
  check (from_ts < to_ts),
  check (cardinality(ts) = cardinality(first) and cardinality(ts) = cardinality(lowest)
         and cardinality(ts) = cardinality(highest) and cardinality(ts) = cardinality(last))
);

-- Findings whose pack is not frozen yet. The desk deletes a row in the transaction that stores the pack.
create table evidence_pack_due (
  finding_id uuid primary key references finding on delete cascade
);

insert into evidence_pack_due (finding_id)
select id
from finding;

create function refuse_to_rewrite_evidence() returns trigger language plpgsql as $$
begin
  raise exception 'an evidence pack is frozen: it is never changed';
end
$$;

create trigger evidence_pack_is_frozen before update on evidence_pack
for each row execute function refuse_to_rewrite_evidence();
