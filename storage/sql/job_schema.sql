-- name: lock_job_schema
-- One process at a time changes the job queue's schema; the lock ends with the transaction.
select pg_advisory_xact_lock(7306004)

-- name: applied_files
-- Files of the job queue's schema that have been run, and whether its tables are there.
select coalesce(array_agg(file), '{}'), to_regclass('procrastinate_jobs') is not null
from job_schema

-- name: note_file
-- Note that a file of the job queue's schema has been run.
insert into job_schema (file, applied_at)
values (%(file)s, %(now)s)
