-- name: nodes
-- Edge nodes of one feed, a row for each of their devices, with every metric that a birth has declared.
select node.group_name, node.edge, node.id, node.birth_number::text, node.born_us, node.heard_at, node.next_sequence,
       unit.device, unit.is_born, unit.asked_us,
       jsonb_agg(jsonb_build_array(metric.name, metric.alias::text, metric.datatype, metric.unit, metric.since_us)
                 order by metric.name) filter (where metric.name is not null)
from unnest(%(groups)s::text[], %(edges)s::text[]) as wanted (group_name, edge)
join sparkplug_node node on node.feed_id = %(feed_id)s
  and node.group_name = wanted.group_name
  and node.edge = wanted.edge
join sparkplug_unit unit on unit.node_id = node.id
left join sparkplug_metric metric on metric.node_id = unit.node_id
  and metric.device = unit.device
group by node.id, unit.node_id, unit.device
order by node.id, unit.device

-- name: save_nodes
-- Store the session and the counter of edge nodes, new and known.
insert into sparkplug_node (feed_id, group_name, edge, birth_number, born_us, heard_at, next_sequence)
select %(feed_id)s, heard.group_name, heard.edge, heard.birth_number, heard.born_us, heard.heard_at,
       heard.next_sequence
from unnest(%(groups)s::text[], %(edges)s::text[], %(birth_numbers)s::numeric[], %(born_us)s::bigint[],
            %(heard_at)s::timestamptz[], %(next_sequences)s::smallint[])
     as heard (group_name, edge, birth_number, born_us, heard_at, next_sequence)
on conflict (feed_id, group_name, edge) do update
set birth_number = excluded.birth_number,
    born_us = excluded.born_us,
    heard_at = excluded.heard_at,
    next_sequence = excluded.next_sequence
returning group_name, edge, id

-- name: save_units
-- Store who is born, and since when messages wait for a birth.
insert into sparkplug_unit (node_id, device, is_born, asked_us)
select heard.node_id, heard.device, heard.is_born, heard.asked_us
from unnest(%(node_ids)s::bigint[], %(devices)s::text[], %(is_born)s::boolean[], %(asked_us)s::bigint[])
     as heard (node_id, device, is_born, asked_us)
on conflict (node_id, device) do update
set is_born = excluded.is_born,
    asked_us = excluded.asked_us

-- name: forget_metrics
-- Drop what earlier births of these units have declared.
delete from sparkplug_metric
where (node_id, device) in (select * from unnest(%(node_ids)s::bigint[], %(devices)s::text[]))

-- name: insert_metrics
-- Store what births have declared.
insert into sparkplug_metric (node_id, device, name, alias, datatype, unit, since_us)
select declared.node_id, declared.device, declared.name, declared.alias, declared.datatype, declared.unit,
       declared.since_us
from unnest(%(node_ids)s::bigint[], %(devices)s::text[], %(names)s::text[], %(aliases)s::numeric[],
            %(datatypes)s::smallint[], %(units)s::text[], %(since_us)s::bigint[])
     as declared (node_id, device, name, alias, datatype, unit, since_us)

-- name: set_series_units
-- Give the series of devices on a feed the engineering units that their births tell.
update series
set unit = metric.unit
from sparkplug_metric metric
join sparkplug_node node on node.id = metric.node_id
join device on device.feed_id = node.feed_id
  and device.feed_key = concat_ws('/', node.group_name, node.edge, nullif(metric.device, ''))
where node.id = any(%(node_ids)s)
  and metric.unit is not null
  and series.device_id = device.id
  and series.metric = metric.name
  and series.unit is distinct from metric.unit

-- name: replay_what_waited
-- Have messages that waited for a birth tried again, the oldest first, now that it has come.
update quarantine
set replay_requested_at = %(now)s
where id in (
  select id
  from quarantine
  where reason = 'unknown_alias'
    and topic = any(%(topics)s)
    and (replay_result is null or replay_result = 'unknown_alias')
    and received_at >= %(oldest)s
  order by id
  limit %(limit)s
)
