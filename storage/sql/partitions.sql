-- name: parts
-- Tables that are named like partitions of a table, and whether they are attached, on their way out, or apart.
select child.relname,
       case
         when link.inhrelid is null then 'apart'
         when link.inhdetachpending then 'leaving'
         else 'attached'
       end
from pg_class as child
left join pg_inherits as link on link.inhrelid = child.oid
where child.relnamespace = (select relnamespace from pg_class where oid = %(parent)s::regclass)
  and child.relkind = 'r'
  and child.relname ~ %(pattern)s
  and (link.inhparent is null or link.inhparent = %(parent)s::regclass)
order by child.relname

-- name: lock_partitions
-- One process at a time makes partitions of the readings; the lock ends with the transaction.
select pg_advisory_xact_lock(7306002)

-- name: make_part
-- Make a partition apart from its parent: "create table ... partition of" would lock out every reader.
create table if not exists {part} (like {parent} including defaults including constraints)

-- name: attach_part
-- Attach a partition; readers and writers of the others go on meanwhile.
alter table {parent} attach partition {part} for values from ({first}) to ({after})

-- name: detach_part
-- Detach a partition without stopping readers or writers; not inside a transaction.
alter table {parent} detach partition {part} concurrently

-- name: finish_detaching
-- Finish a detachment that was cut off.
alter table {parent} detach partition {part} finalize

-- name: drop_part
-- Drop a partition that is apart.
drop table {part}
