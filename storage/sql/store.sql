-- name: parts
-- Parts in the order of their ids, with their pieces and what may take their place.
select part.id, part.number, part.name_en, part.name_zh, part.unit, part_supply.on_hand, part_supply.reserved,
       greatest(part_supply.on_hand - part_supply.reserved, 0), part.lead_time_days, part.reorder_level,
       array(select other.number
             from part_substitute
             join part as other on other.id = part_substitute.substitute_id
             where part_substitute.part_id = part.id
             order by part_substitute.preference)
from part
join part_supply on part_supply.part_id = part.id
where part.id > %(after)s
  and (%(number)s::text is null or part.number = %(number)s)
order by part.id
limit %(limit)s

-- name: insert_part
-- Add a part; returns nothing when its number is taken.
insert into part (number, name_en, name_zh, unit)
values (%(number)s, %(name_en)s, %(name_zh)s, %(unit)s)
on conflict (number) do nothing
returning id
