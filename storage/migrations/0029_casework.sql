-- What every part of a ticket's life stands on: its team, where it came from and went to, and that a line stands still.

alter table team
  add column site_id text references site,
  add column lead_id bigint references person,
  add column backup_team_id bigint references team,
  add constraint no_backup_of_itself check (backup_team_id <> id);

alter table ticket
  add column team_id bigint references team,
  add column line_stopped boolean not null default false,
  -- The ticket this one was split from, and the one it was merged into (SPEC T9).
  add column parent_id uuid references ticket,
  add column merged_into_id uuid references ticket,
  add column reopened_count integer not null default 0 check (reopened_count >= 0),
  drop constraint ticket_outcome_check,
  add constraint ticket_outcome_check check (
    outcome in ('repaired', 'false_alarm', 'no_fault_found', 'deferred', 'cancelled', 'merged')
  ),
  add constraint merged_when_merged check ((outcome is not distinct from 'merged') = (merged_into_id is not null)),
  add constraint not_merged_into_itself check (merged_into_id <> id);

update ticket
set line_stopped = coalesce((priority_reason ->> 'line_stopped')::boolean, false);
