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
  watch_probability, ticket_probability, window_from_h, window_to_h, skills, tasks, signature,
  item_en, item_zh, mechanism_en, mechanism_zh, cause_en, cause_zh, occurrence, detection
)
values (
  %(asset_type)s, %(code)s, %(name_en)s, %(name_zh)s, %(effect_en)s, %(effect_zh)s, %(severity)s, %(component)s,
  %(prior)s, %(watch_probability)s, %(ticket_probability)s, %(window_from_h)s, %(window_to_h)s, %(skills)s,
  %(tasks)s::jsonb, %(signature)s::jsonb, %(item_en)s, %(item_zh)s, %(mechanism_en)s, %(mechanism_zh)s, %(cause_en)s,
  %(cause_zh)s, %(occurrence)s, %(detection)s
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
  watch_probability, ticket_probability, window_from_h, window_to_h, skills, tasks, signature,
  item_en, item_zh, mechanism_en, mechanism_zh, cause_en, cause_zh, occurrence, detection
from failure_mode
where (%(asset_type)s::text is null or asset_type_id = %(asset_type)s)
  and retired_at is null
order by asset_type_id, code;

-- name: parts_of_failure_modes
-- The parts that repairing these modes uses.
select need.failure_mode_id, part.number, part.name_en, part.name_zh, need.quantity, need.probability
from failure_mode_part as need
join part on part.id = need.part_id
where need.failure_mode_id = any(%(failure_mode_ids)s)
order by need.failure_mode_id, need.probability desc, part.number;

-- name: drop_needs
-- Forgets which parts repairing the mode uses.
delete from failure_mode_part
where failure_mode_id = %(failure_mode_id)s;

-- name: asset_type
-- The names of an asset type, held until the transaction ends: one import at a time.
select name_en, name_zh
from asset_type
where id = %(id)s
for no key update;

-- name: rename_asset_type
-- Gives the asset type other names.
update asset_type
set name_en = %(name_en)s, name_zh = %(name_zh)s
where id = %(id)s;

-- name: rewrite_failure_mode
-- Says a failure mode anew, by its code; one that was retired is looked for again.
update failure_mode
set
  name_en = %(name_en)s,
  name_zh = %(name_zh)s,
  effect_en = %(effect_en)s,
  effect_zh = %(effect_zh)s,
  severity = %(severity)s,
  component = %(component)s,
  prior = %(prior)s,
  watch_probability = %(watch_probability)s,
  ticket_probability = %(ticket_probability)s,
  window_from_h = %(window_from_h)s,
  window_to_h = %(window_to_h)s,
  skills = %(skills)s,
  tasks = %(tasks)s::jsonb,
  signature = %(signature)s::jsonb,
  item_en = %(item_en)s,
  item_zh = %(item_zh)s,
  mechanism_en = %(mechanism_en)s,
  mechanism_zh = %(mechanism_zh)s,
  cause_en = %(cause_en)s,
  cause_zh = %(cause_zh)s,
  occurrence = %(occurrence)s,
  detection = %(detection)s,
  retired_at = null
where asset_type_id = %(asset_type)s
  and code = %(code)s
returning id;

-- name: retire_failure_mode
-- No longer looks for a failure mode; what refers to it stays.
update failure_mode
set retired_at = %(now)s
where id = %(id)s;

-- name: close_watches_of_retired
-- Closes the open predictions of a retired mode, except those that a ticket is working on.
update prediction
set
  status = 'closed',
  updated_at = %(now)s,
  version = version + 1
where failure_mode_id = %(id)s
  and status = 'open'
  and not exists (
    select from ticket
    where ticket.asset_id = prediction.asset_id
      and ticket.failure_mode_id = prediction.failure_mode_id
      and ticket.state <> 'closed'
  );

-- name: part_names
-- What the register calls these parts.
select number, name_en, name_zh
from part
where number = any(%(numbers)s::text[]);
