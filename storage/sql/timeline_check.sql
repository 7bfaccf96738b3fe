-- name: timelines
-- Returns a page of timelines, each with what its ticket says of its end, in one look: a command may come meanwhile.
select
  t.id, t.code, t.timeline_length, t.timeline_head,
  e.number, e.at, e.actor_kind, e.actor_id, e.actor_name, e.channel, e.command, e.from_state, e.to_state, e.effective,
  e.summary, e.facts, e.previous_hash, e.hash
from (
  select id, code, timeline_length, timeline_head
  from ticket
  where (%(code)s::text is null or code = %(code)s::text)
    and (%(after)s::uuid is null or id > %(after)s::uuid)
  order by id
  limit %(limit)s
) t
left join ticket_event e on e.ticket_id = t.id
order by t.id, e.number
