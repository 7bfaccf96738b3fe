-- Backtests: asked for through the API, run by the jobs process, machine by machine.

-- name: machines_to_try
-- The machines of an asset type, at one site or those that are named, with their sites; those of others do not exist.
select id, site_id
from asset
where asset_type_id = %(asset_type)s
  and (%(asset_ids)s::bigint[] is null or id = any(%(asset_ids)s))
  and (%(site_id)s::text is null or site_id = %(site_id)s)
  and (%(sites)s::text[] is null or site_id = any(%(sites)s))
order by id
limit %(limit)s;

-- name: tags_to_try
-- The tags of the machines of an asset type, at one site or at all of the caller's.
select tag, id
from asset
where asset_type_id = %(asset_type)s
  and (%(site_id)s::text is null or site_id = %(site_id)s)
  and (%(sites)s::text[] is null or site_id = any(%(sites)s));

-- name: sites_to_try
-- How many machines of an asset type stand at which site.
select asset.site_id, site.name, count(*)
from asset
join site on site.id = asset.site_id
where asset.asset_type_id = %(asset_type)s
  and (%(sites)s::text[] is null or asset.site_id = any(%(sites)s))
group by asset.site_id, site.name
order by site.name, asset.site_id;

-- name: types_to_try
-- The asset types of the machines at the sites, each with the time of its newest reading.
select asset.asset_type_id, max(device.last_reading_at)
from asset
left join device on device.asset_id = asset.id
where %(sites)s::text[] is null or asset.site_id = any(%(sites)s)
group by asset.asset_type_id
order by asset.asset_type_id;

-- name: names_of_askers
-- The names of people who asked for backtests.
select id, name
from person
where id = any(%(ids)s);

-- name: count_waiting
-- How many backtests are not done yet.
select count(*)
from backtest
where state in ('waiting', 'running');

-- name: insert_backtest
-- Asks for a backtest.
insert into backtest (kind, asset_type_id, asset_ids, sites, since, until, request, state, asked_by, created_at)
values (
  %(kind)s, %(asset_type)s, %(asset_ids)s, %(sites)s, %(since)s, %(until)s, %(request)s, 'waiting', %(asked_by)s, %(now)s
)
returning id;

-- name: backtests
-- Backtests, newest first, with how many of their machines are done; only those whose sites the caller may all see.
select id, kind, asset_type_id, asset_ids, sites, since, until, request, state, error, proposal, asked_by, created_at,
       started_at, finished_at,
       (select count(*) from backtest_machine where backtest_machine.backtest_id = backtest.id)
from backtest
where (%(before)s::bigint is null or id < %(before)s)
  and (%(id)s::bigint is null or id = %(id)s)
  and (%(sites)s::text[] is null or sites <@ %(sites)s)
order by id desc
limit %(limit)s;

-- name: machines_of_backtest
-- What came of each machine so far.
select backtest_machine.asset_id, asset.tag, backtest_machine.result, backtest_machine.error
from backtest_machine
join asset on asset.id = backtest_machine.asset_id
where backtest_machine.backtest_id = %(id)s
order by backtest_machine.asset_id;

-- name: cancel_backtest
-- Cancels a backtest that is not done yet.
update backtest
set state = 'cancelled', finished_at = %(now)s
where id = %(id)s
  and state in ('waiting', 'running')
returning id;

-- name: delete_backtest
-- Removes a backtest that is done.
delete from backtest
where id = %(id)s
  and state in ('done', 'failed', 'cancelled');

-- name: claim_backtest
-- Takes up the oldest backtest that is not done: a new one, or one whose runner was killed. Runners take turns.
update backtest
set state = 'running', claim = claim + 1, started_at = coalesce(started_at, %(now)s)
where id = (select min(id) from backtest where state in ('waiting', 'running'))
returning id, claim;

-- name: is_claimed
-- Whether the backtest is still the runner's: neither cancelled nor taken over.
select 1
from backtest
where id = %(id)s
  and claim = %(claim)s
  and state = 'running';

-- name: record_machine
-- Stores what came of one machine, for the runner whose backtest it still is.
insert into backtest_machine (backtest_id, asset_id, result, error)
select id, %(asset_id)s, %(result)s, %(error)s
from backtest
where id = %(id)s
  and claim = %(claim)s
  and state = 'running'
on conflict do nothing;

-- name: finish_backtest
-- Ends a backtest, for the runner whose it still is.
update backtest
set state = %(state)s, error = %(error)s, proposal = %(proposal)s, finished_at = %(now)s
where id = %(id)s
  and claim = %(claim)s
  and state = 'running';

-- name: job_queue_is_there
-- Whether a jobs process has made the job queue yet.
select to_regtype('procrastinate_job_to_defer_v1') is not null;

-- name: defer_run
-- Puts a run of the waiting backtests into the job queue, unless one waits there already.
select procrastinate_defer_jobs_v1(
  array[row('default', 'backtests', 0, 'backtests', null, '{}'::jsonb, null)::procrastinate_job_to_defer_v1]
)
where not exists (
  select from procrastinate_jobs where task_name = 'backtests' and status = 'todo'
);
