-- name: start_operation
-- Starts an operation, for the first time or again after a failed check.
update operation
set
  started_at = %(now)s,
  started_by = %(person_id)s,
  checked_at = null,
  checked_by = null,
  check_result = null,
  check_remark = null
where ticket_id = %(ticket_id)s
  and number = %(number)s

-- name: finish_operation
-- Finishes an operation.
update operation
set
  finished_at = %(now)s,
  finished_by = %(person_id)s
where ticket_id = %(ticket_id)s
  and number = %(number)s

-- name: pass_operation
-- Notes that an operation passed its check.
update operation
set
  checked_at = %(now)s,
  checked_by = %(person_id)s,
  check_result = 'passed',
  check_remark = %(remark)s
where ticket_id = %(ticket_id)s
  and number = %(number)s

-- name: fail_operation
-- Notes that an operation failed its check: it has to be started again.
update operation
set
  started_at = null,
  started_by = null,
  finished_at = null,
  finished_by = null,
  checked_at = %(now)s,
  checked_by = %(person_id)s,
  check_result = 'failed',
  check_remark = %(remark)s,
  failed_checks = failed_checks + 1
where ticket_id = %(ticket_id)s
  and number = %(number)s
