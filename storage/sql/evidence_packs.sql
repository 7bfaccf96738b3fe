-- Evidence packs: what a detector saw, frozen with its finding.

-- name: claim_due
-- Takes a finding whose pack is to be frozen; it comes back if the transaction does not commit.
delete from evidence_pack_due
where finding_id = (
  select finding_id
  from evidence_pack_due
  limit 1
  for update skip locked
)
returning finding_id

-- name: what_to_freeze
-- The series that the finding is about, and those that a finding over several metrics names as contributing.
select series.id, device.expected_interval_s, finding.opened_at,
       (finding.evidence ->> 'window_start')::double precision
from finding
join series as own on own.id = finding.series_id
join series on series.device_id = own.device_id
join device on device.id = series.device_id
where finding.id = %(finding_id)s
  and (series.id = own.id or finding.evidence ? ('contribution:' || series.metric))
order by series.id

-- name: context_before
-- Since when to show a series that was judged up to this moment: so many of its readings back.
select min(ts)
from (
  select ts
  from reading
  where series_id = %(series_id)s
    and ts <= %(until)s
  order by ts desc
  limit %(limit)s
) as before

-- name: freeze
-- Stores a pack once; frozen already, it stays as it is.
insert into evidence_pack (
  finding_id, series_id, from_ts, to_ts, level, is_raw, ts, first, lowest, highest, last, frozen_at
)
values (
  %(finding_id)s, %(series_id)s, %(from)s, %(to)s, %(level)s, %(is_raw)s, %(ts)s, %(first)s, %(lowest)s, %(highest)s,
  %(last)s, %(now)s
)
on conflict do nothing

-- name: packs_of
-- What was frozen with a finding, series by series.
select evidence_pack.series_id, series.metric, series.unit, evidence_pack.from_ts, evidence_pack.to_ts,
       evidence_pack.frozen_at, evidence_pack.ts, evidence_pack.first, evidence_pack.lowest, evidence_pack.highest,
       evidence_pack.last, evidence_pack.is_raw, evidence_pack.level
from evidence_pack
join series on series.id = evidence_pack.series_id
where evidence_pack.finding_id = %(finding_id)s
order by evidence_pack.series_id
