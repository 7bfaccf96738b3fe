-- Priority in four parts: critical windows, overrides, the breaker's state of each site, and the control policy's scores.

alter table ticket
  -- The level that a person set; while it is set, recomputation keeps it (SPEC S1).
  add column priority_override smallint check (priority_override between 0 and 4),
  -- When the score was last looked at; a look that changes nothing leaves no trace on the timeline.
  add column priority_at timestamptz,
  add constraint priority_is_the_override check (priority_override is null or priority = priority_override);
update ticket
set priority_at = opened_at
where state <> 'closed';
create index ticket_to_score on ticket (priority_at) where state <> 'closed';
create index ticket_open_p0 on ticket (site_id) where state <> 'closed' and priority = 0;
-- Repeats and complaints of an asset in the last days.
create index ticket_event_complaint on ticket_event (ticket_id, at)
  where command = 'dispute' or (command = 'note' and not effective);

-- When a fault at a site weighs more (SPEC S1): once, from one instant to another, or every week by local time.
create table critical_window (
  id bigint generated always as identity primary key,
  site_id text not null references site,
  -- Null: every asset of the site.
  asset_type_id text references asset_type,
  name text not null check (length(name) between 1 and 120),
  factor double precision not null check (factor between 0.1 and 10),
  starts_at timestamptz,
  ends_at timestamptz,
  -- Weekly: ISO weekdays on which it starts, and local seconds after midnight; an end before the start is the next day's.
  weekdays smallint[],
  starts_s integer check (starts_s between 0 and 86399),
  ends_s integer check (ends_s between 1 and 86400),
  -- What the open tickets of its scope were last scored with; null: not yet as the window is now.
  seen_open boolean,
  version integer not null default 1,
  created_at timestamptz not null,
  created_by bigint references person,
  retired_at timestamptz,
  constraint once_or_weekly check (
    (starts_at is not null and ends_at is not null and starts_at < ends_at
     and weekdays is null and starts_s is null and ends_s is null)
    or (starts_at is null and ends_at is null
        and cardinality(weekdays) between 1 and 7 and weekdays <@ '{1,2,3,4,5,6,7}'::smallint[]
        and starts_s is not null and ends_s is not null and starts_s <> ends_s)
  )
);
create index critical_window_of_site on critical_window (site_id) where retired_at is null;

-- The breaker of each site (SPEC S6): frozen since when, from which priority on, and the open P0 it last counted.
create table breaker_state (
  site_id text primary key references site,
  open_p0 integer not null check (open_p0 >= 0),
  frozen_since timestamptz,
  freezes_from smallint check (freezes_from between 1 and 4),
  changed_at timestamptz not null,
  constraint frozen_from_a_priority check ((frozen_since is null) = (freezes_from is null))
);

-- What the control policy said of the tickets that it scored as well (SPEC S7).
create table priority_control (
  ticket_id uuid primary key references ticket,
  policy_id bigint not null references policy,
  opened_at timestamptz not null,
  level smallint not null check (level between 0 and 4),
  score double precision not null,
  control_level smallint not null check (control_level between 0 and 4),
  control_score double precision not null,
  control_reason jsonb not null
);
create index priority_control_by_time on priority_control (opened_at);

-- Sections that policies published before this migration lack; what they say themselves stays.
update policy
set body = '{
  "score": {
    "window_most": 3.0,
    "finding": {"low": 1.0, "medium": 1.0, "high": 1.0, "critical": 1.25},
    "scope": {"per_asset": 0.1, "most": 1.5},
    "history": {"days": 30, "per_complaint": 0.1, "per_repeat": 0.2, "most": 1.5}
  },
  "rescore": {"least_move": 0.1},
  "heat": {
    "warm_from": 4.0,
    "hot_from": 7.0,
    "no_time_left": 2.0,
    "priority": {"p0": 5.0, "p1": 4.0, "p2": 3.0, "p3": 2.0, "p4": 1.0}
  },
  "breaker": {"freeze_above_p0": 3, "thaw_at_p0": 0, "freezes_from": 3},
  "control": {
    "share": 0.1,
    "priority": {
      "unknown_severity": 5,
      "criticality": {"1": 0.5, "2": 0.75, "3": 1.0, "4": 1.5, "5": 2.0},
      "tier": {"standard": 1.0, "vip": 1.4},
      "from_score": {"p0": 20.0, "p1": 11.0, "p2": 6.5, "p3": 3.0}
    },
    "score": {
      "window_most": 2.0,
      "finding": {"low": 0.9, "medium": 1.0, "high": 1.1, "critical": 1.25},
      "scope": {"per_asset": 0.2, "most": 2.0},
      "history": {"days": 30, "per_complaint": 0.2, "per_repeat": 0.1, "most": 1.5}
    }
  }
}'::jsonb || body
where name = 'repair';
