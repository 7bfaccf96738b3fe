-- The failure-mode library grows: names after ISO 14224, ratings of an FMEA, modes that are retired, and predictions
-- that say where their interval comes from.

alter table failure_mode
  add column item_en text not null default '',
  add column item_zh text not null default '',
  add column mechanism_en text not null default '',
  add column mechanism_zh text not null default '',
  add column cause_en text not null default '',
  add column cause_zh text not null default '',
  add column occurrence smallint check (occurrence between 1 and 10),
  add column detection smallint check (detection between 1 and 10),
  -- What tickets and predictions refer to is never deleted: a retired mode is no longer looked for.
  add column retired_at timestamptz;

alter table prediction
  add column window_source text not null default 'mode' check (window_source in ('remaining_life', 'trend', 'mode'));

alter table prediction_evidence
  drop constraint prediction_evidence_kind_check,
  add constraint prediction_evidence_kind_check
    check (kind in ('prior', 'finding', 'event', 'part_age', 'history', 'rival'));
