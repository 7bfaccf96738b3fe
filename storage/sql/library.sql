-- The failure-mode library: what can go wrong with an asset type, what it needs, and which parts.

-- name: insert_asset_type
-- Makes the asset type known.
insert into asset_type (id, name_en, name_zh)
values (%(id)s, %(name_en)s, %(name_zh)s)
on conflict do nothing;

-- name: insert_failure_mode
-- Stores a failure mode unless the type has one of that code; what planners or closures changed is left alone.
insert into failure_mode (
  asset_type_id, code, name_en, name_zh, effect_en, effect_zh, severity, component, prior,
  watch_probability, ticket_probability, window_from_h, window_to_h, skills, tasks, signature
)
values (
  %(asset_type)s, %(code)s, %(name_en)s, %(name_zh)s, %(effect_en)s, %(effect_zh)s, %(severity)s, %(component)s,
  %(prior)s, %(watch_probability)s, %(ticket_probability)s, %(window_from_h)s, %(window_to_h)s, %(skills)s,
  %(tasks)s::jsonb, %(signature)s::jsonb
)
on conflict do nothing
returning id;

-- name: insert_part
-- Makes the part known.
insert into part (number, name_en, name_zh)
values (%(number)s, %(name_en)s, %(name_zh)s)
on conflict do nothing;

-- name: insert_failure_mode_part
-- Says that repairing the mode uses the part.
insert into failure_mode_part (failure_mode_id, part_id, quantity, probability)
select %(failure_mode_id)s, id, %(quantity)s, %(probability)s
from part
where number = %(number)s;

-- name: failure_modes
-- The failure modes of one asset type, or of all.
select
  id, asset_type_id, code, name_en, name_zh, effect_en, effect_zh, severity, component, prior,
  watch_probability, ticket_probability, window_from_h, window_to_h, skills, tasks, signature
from failure_mode
where %(asset_type)s::text is null or asset_type_id = %(asset_type)s
order by asset_type_id, code;

-- name: parts_of_failure_modes
-- The parts that repairing these modes uses.
select need.failure_mode_id, part.number, part.name_en, part.name_zh, need.quantity, need.probability
from failure_mode_part as need
join part on part.id = need.part_id
where need.failure_mode_id = any(%(failure_mode_ids)s)
order by need.failure_mode_id, need.probability desc, part.number;
