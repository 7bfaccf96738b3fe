-- name: site_zones
-- The time zone of every site, for writing times as its people read them.
select site.id, calendar.time_zone
from site
join calendar on calendar.id = site.calendar_id

-- name: work_counts
-- What waits: the person's own open tickets, those with a clock about to run out, and those with one that has.
select count(*) filter (where ticket.assignee_id = %(person_id)s),
       count(*) filter (where due.at > %(now)s and due.at <= %(soon)s),
       count(*) filter (where due.at <= %(now)s),
       count(*)
from ticket
left join lateral (
  select min(ticket_clock.due_at) as at
  from ticket_clock
  where ticket_clock.ticket_id = ticket.id
    and ticket_clock.stopped_at is null
    and not exists (select from hold where hold.ticket_id = ticket.id and hold.ended_at is null)
) as due on true
where ticket.state <> 'closed'
  and (%(sites)s::text[] is null or ticket.site_id = any(%(sites)s))
  and (%(requester_id)s::bigint is null or ticket.requester_id = %(requester_id)s)

-- name: ticket_rows
-- One page of tickets as the list shows them, newest first, each with its next clock to run out.
select ticket.id, ticket.code, ticket.state, ticket.outcome, ticket.kind, ticket.priority, ticket.title_en,
       ticket.title_zh, ticket.site_id, asset.id, asset.tag, asset.name, person.name, ticket.opened_at,
       waiting.review_at, due.clock, due.due_at, ticket.flag
from ticket
join asset on asset.id = ticket.asset_id
left join person on person.id = ticket.assignee_id
left join hold as waiting on waiting.ticket_id = ticket.id and waiting.ended_at is null
left join lateral (
  select ticket_clock.clock, ticket_clock.due_at
  from ticket_clock
  where ticket_clock.ticket_id = ticket.id
    and ticket_clock.stopped_at is null
    and ticket.state <> 'closed'
    and waiting.ticket_id is null
  order by ticket_clock.due_at
  limit 1
) as due on true
where (%(before)s::uuid is null or ticket.id < %(before)s)
  and (%(sites)s::text[] is null or ticket.site_id = any(%(sites)s))
  and (%(requester_id)s::bigint is null or ticket.requester_id = %(requester_id)s)
  and (%(asset_id)s::bigint is null or ticket.asset_id = %(asset_id)s)
  and (%(assignee_id)s::bigint is null or ticket.assignee_id = %(assignee_id)s)
  and (%(states)s::text[] is null or ticket.state = any(%(states)s))
  and (%(due_from)s::timestamptz is null or due.due_at > %(due_from)s)
  and (%(due_to)s::timestamptz is null or due.due_at <= %(due_to)s)
  and (%(flag)s::text is null or ticket.flag = %(flag)s)
  and (%(unassigned)s::boolean is not true or ticket.assignee_id is null)
  and (%(on_hold)s::boolean is not true or waiting.ticket_id is not null)
  and (%(review_to)s::timestamptz is null or waiting.review_at <= %(review_to)s)
  and (%(kind)s::text is null or ticket.kind = %(kind)s)
  and (%(priority)s::smallint is null or ticket.priority = %(priority)s)
  and (%(text)s::text is null
       or ticket.code ilike %(text)s
       or ticket.title_en ilike %(text)s
       or ticket.title_zh ilike %(text)s
       or ticket.asset_id = any(%(asset_ids)s::bigint[]))
order by ticket.id desc
limit %(limit)s

-- name: newest_span
-- The stretch of a series that holds its newest readings; nothing when it has none.
select min(newest.ts), max(newest.ts)
from (
  select reading.ts
  from reading
  where reading.series_id = %(series_id)s
  order by reading.ts desc
  limit %(limit)s
) as newest
having count(*) > 0

-- name: span_around
-- The stretch to draw around a finding: so many readings before it opened, and so many after it cleared.
select (select min(before.ts)
        from (select reading.ts
              from reading
              where reading.series_id = %(series_id)s
                and reading.ts <= %(opened_at)s
              order by reading.ts desc
              limit %(before)s) as before),
       (select max(after.ts)
        from (select reading.ts
              from reading
              where reading.series_id = %(series_id)s
                and reading.ts >= %(ended_at)s
              order by reading.ts
              limit %(after)s) as after)

-- name: prediction_rows
-- Predictions as the list shows them, the likeliest open ones first.
select prediction.id, prediction.status, prediction.stage, prediction.probability, prediction.evidence_at,
       prediction.window_from, prediction.window_to, prediction.version, prediction.decision_reason, asset.id,
       asset.site_id, asset.tag, asset.name, failure_mode.name_en, failure_mode.name_zh, failure_mode.effect_en,
       failure_mode.effect_zh, ticket.code, failure_mode.id, failure_mode.code, asset.asset_type_id,
       prediction.held_by_budget_at, prediction.held_by_flood_at, prediction.snoozed_until, prediction.merged_into,
       prediction.window_source, prediction.window_corrected_at is not null
from prediction
join asset on asset.id = prediction.asset_id
join failure_mode on failure_mode.id = prediction.failure_mode_id
left join lateral (
  select ticket.code
  from ticket
  where ticket.prediction_id = prediction.id
  order by ticket.id desc
  limit 1
) as ticket on true
where (%(sites)s::text[] is null or asset.site_id = any(%(sites)s))
  and (%(id)s::uuid is null or prediction.id = %(id)s)
  and (%(status)s::text is null or prediction.status = %(status)s)
  and (%(asset_id)s::bigint is null or prediction.asset_id = %(asset_id)s)
order by prediction.status = 'open' desc, prediction.stage = 'ticket' desc, prediction.probability desc,
         prediction.updated_at desc, prediction.id
limit %(limit)s
offset %(skip)s

-- name: mode_names
-- The failure modes of an asset type by what people call them, retired ones too: decisions speak of them.
select id, code, name_en, name_zh, retired_at is not null
from failure_mode
where asset_type_id = %(asset_type)s
order by code

-- name: contributions
-- What moved a prediction, the strongest first.
select prediction_evidence.kind, prediction_evidence.ts, prediction_evidence.log_odds,
       prediction_evidence.summary_en, prediction_evidence.summary_zh, prediction_evidence.reference
from prediction_evidence
where prediction_evidence.prediction_id = %(prediction_id)s
order by prediction_evidence.kind = 'prior' desc, abs(prediction_evidence.log_odds) desc
limit %(limit)s

-- name: finding_rows
-- Findings of an asset or of a prediction, or one, the newest first, with what it takes to draw them.
select finding.id, finding.series_id, finding.metric, series.unit, finding.detector, finding.direction,
       finding.severity, finding.shadow, finding.opened_at, finding.cleared_at, finding.value, finding.score,
       finding.limit_value, rule.name, rule.version
from finding
join series on series.id = finding.series_id
join rule on rule.id = finding.rule_id
where (%(asset_id)s::bigint is null or finding.asset_id = %(asset_id)s)
  and (%(finding_id)s::uuid is null or finding.id = %(finding_id)s)
  and (%(prediction_id)s::uuid is null
       or finding.id::text in (select reference from prediction_evidence
                               where prediction_id = %(prediction_id)s and kind = 'finding'))
order by finding.opened_at desc
limit %(limit)s

-- name: place_of_asset
-- What an asset is called and where it stands.
select id, tag, name, site_id
from asset
where id = %(asset_id)s

-- name: device_rows
-- Registered devices as the list shows them, each with its asset, its feed and how many messages never came.
select device.id, device.site_id, device.name, asset.id, asset.tag, asset.name, device.online, device.last_seen_at,
       device.expected_interval_s, device.clock_ahead_s, feed.name, device.feed_key,
       coalesce((select sum(missing) from sequence_gap where sequence_gap.device_id = device.id), 0)::bigint
from device
join asset on asset.id = device.asset_id
left join feed on feed.id = device.feed_id
where device.id > %(after)s
  and (%(sites)s::text[] is null or device.site_id = any(%(sites)s))
  and (%(site)s::text is null or device.site_id = %(site)s)
  and (%(text)s::text is null
       or device.name ilike %(text)s
       or device.feed_key ilike %(text)s
       or asset.tag ilike %(text)s
       or asset.name ilike %(text)s)
order by device.id
limit %(limit)s
