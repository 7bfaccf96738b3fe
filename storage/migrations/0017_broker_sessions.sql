-- By what our sessions are known to the broker: a client id belongs to whoever uses it, so nobody may guess ours.

create table broker_identity (
  only_one boolean primary key default true check (only_one),
  -- The end of every id of ours: 122 random bits. Never shown; whoever has it could take our sessions over.
  word text not null check (word ~ '^[0-9a-f]{32}$')
);
insert into broker_identity (word) values (replace(gen_random_uuid()::text, '-', ''));

-- Sessions under ids that are not used any more: the partition's ingester empties its own once, ends it, and forgets it.
create table former_session (
  partition text primary key,
  client_id text not null unique
);
-- Before this their ids could be guessed.
insert into former_session (partition, client_id)
select partition, 'wearsight-ingest-' || substr(partition, 6)
from checkpoint_fence
where partition ~ '^mqtt-[0-9]{1,4}$';
