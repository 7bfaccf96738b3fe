-- Rule scores: what closures said about each rule, and what was proposed because of it.

-- name: rule_scores
-- Figures of every version of every rule and, with version null, of all versions together (SPEC P4).
with spoke as (
  select
    (told.rule ->> 'rule_id')::bigint as rule_id,
    (told.rule ->> 'lead_h')::float8 as lead_h,
    case
      when lesson.outcome in ('no_fault_found', 'false_alarm') then 'wrong'
      when lesson.outcome <> 'repaired' or lesson.found_mode_id is null then 'unknown'
      when lesson.found_mode_id = lesson.predicted_mode_id then 'right'
      else 'other'
    end as verdict,
    (
      select count(*)
      from jsonb_array_elements(lesson.parts) as part
      where (part ->> 'used')::integer > 0
    ) as parts_used,
    (
      select count(*)
      from jsonb_array_elements(lesson.parts) as part
      where (part ->> 'used')::integer > 0
        and (part ->> 'predicted')::integer > 0
    ) as parts_hit
  from closure_lesson as lesson
  cross join lateral jsonb_array_elements(lesson.rules) as told (rule)
  where %(since)s::timestamptz is null or lesson.closed_at >= %(since)s
),
judged as (
  select
    rule.name,
    rule.version,
    count(*) as tickets,
    count(*) filter (where spoke.verdict = 'right') as was_right,
    count(*) filter (where spoke.verdict = 'wrong') as was_wrong,
    count(*) filter (where spoke.verdict = 'other') as was_other,
    percentile_cont(0.5) within group (order by spoke.lead_h) filter (where spoke.verdict = 'right') as lead_h,
    sum(spoke.parts_used) filter (where spoke.verdict = 'right') as parts_used,
    sum(spoke.parts_hit) filter (where spoke.verdict = 'right') as parts_hit
  from spoke
  join rule on rule.id = spoke.rule_id
  group by grouping sets ((rule.name, rule.version), (rule.name))
),
seen as (
  select rule.name, rule.version, count(*) as findings
  from finding
  join rule on rule.id = finding.rule_id
  where %(since)s::timestamptz is null or finding.recorded_at >= %(since)s
  group by grouping sets ((rule.name, rule.version), (rule.name))
),
wanted as (
  select name, version from rule
  union
  select name, null from rule
)
select
  wanted.name, wanted.version, coalesce(seen.findings, 0), coalesce(judged.tickets, 0), coalesce(judged.was_right, 0),
  coalesce(judged.was_wrong, 0), coalesce(judged.was_other, 0), judged.lead_h, coalesce(judged.parts_used, 0)::integer,
  coalesce(judged.parts_hit, 0)::integer
from wanted
left join judged on judged.name = wanted.name and judged.version is not distinct from wanted.version
left join seen on seen.name = wanted.name and seen.version is not distinct from wanted.version
where %(name)s::text is null or wanted.name = %(name)s
order by wanted.name, wanted.version desc nulls first;

-- name: shadow_findings
-- Findings of shadow rules that can be judged, with the faults repaired on the asset within the wait after each.
select f.rule_id, f.metric, f.direction, repaired.ticket_ids, repaired.mode_ids
from finding as f
cross join lateral (
  select
    array_agg(lesson.ticket_id::text order by lesson.ticket_id) as ticket_ids,
    array_agg(lesson.found_mode_id order by lesson.ticket_id) as mode_ids
  from closure_lesson as lesson
  where lesson.asset_id = f.asset_id
    and lesson.outcome = 'repaired'
    and lesson.found_mode_id is not null
    and lesson.found_at > f.opened_at
    and lesson.found_at <= f.opened_at + make_interval(secs => %(wait_s)s)
) as repaired
where f.rule_id = any(%(rule_ids)s::bigint[])
  and f.shadow
  and (repaired.ticket_ids is not null or f.recorded_at <= %(now)s - make_interval(secs => %(wait_s)s))
order by f.recorded_at desc, f.id
limit %(limit)s;

-- name: withdraw_stale
-- Withdraws proposals about a version that is no longer the newest of its rule.
update rule_proposal
set
  status = 'withdrawn',
  decided_at = %(now)s
where status = 'open'
  and rule_version < (select max(rule.version) from rule where rule.name = rule_proposal.rule_name);

-- name: judged_before
-- How many closures had judged each rule when it was last proposed, to whatever mode.
select rule_name, to_mode, max(judged), bool_or(status = 'open')
from rule_proposal
where status <> 'withdrawn'
group by rule_name, to_mode;

-- name: insert_proposal
-- Proposes a mode for a rule, unless something is proposed for it already.
insert into rule_proposal (rule_name, rule_version, from_mode, to_mode, figures, judged, proposed_at)
values (%(rule)s, %(version)s, %(from_mode)s, %(to_mode)s, %(figures)s, %(judged)s, %(now)s)
on conflict (rule_name) where status = 'open' do nothing
returning id;

-- name: proposals
-- Proposals, newest first.
select id, rule_name, rule_version, from_mode, to_mode, figures, status, proposed_at, decided_at, decided_by,
       decision_reason
from rule_proposal
where (%(id)s::bigint is null or id = %(id)s)
  and (%(rule)s::text is null or rule_name = %(rule)s)
  and (%(status)s::text is null or status = %(status)s)
  and (%(before)s::bigint is null or id < %(before)s)
order by id desc
limit %(limit)s;

-- name: hold_proposal
-- Holds a proposal while a person decides on it.
select status
from rule_proposal
where id = %(id)s
for no key update;

-- name: decide_proposal
-- Notes what became of a proposal, by whom and why.
update rule_proposal
set
  status = %(status)s,
  decided_at = %(now)s,
  decided_by = %(person_id)s,
  decision_reason = %(reason)s
where id = %(id)s;
