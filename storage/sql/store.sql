-- name: parts
-- Parts in the order of their ids, with the pieces on hand.
select part.id, part.number, part.name_en, part.name_zh, part.unit,
       (select coalesce(sum(stock_movement.quantity), 0)::bigint
        from stock_movement
        where stock_movement.part_id = part.id)
from part
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
