-- name: part_by_number
-- Returns the id of a part.
select id
from part
where number = %(number)s

-- name: bill_line
-- Returns what a ticket's bill says of a part.
select issued, returned
from bill_line
where ticket_id = %(ticket_id)s
  and part_id = %(part_id)s

-- name: save_bill_line
-- Saves the totals of a part on a ticket's bill.
insert into bill_line (ticket_id, part_id, issued, used, returned)
values (%(ticket_id)s, %(part_id)s, %(issued)s, %(used)s, %(returned)s)
on conflict (ticket_id, part_id) do update
set
  issued = excluded.issued,
  used = excluded.used,
  returned = excluded.returned

-- name: predict_bill
-- Puts the predicted parts on the bill of a new ticket (SPEC P3).
insert into bill_line (ticket_id, part_id, predicted, probability)
select %(ticket_id)s, part_id, quantity, probability
from predicted_part
where prediction_id = %(prediction_id)s

-- name: move_stock
-- Records a movement of stock: positive into the store, negative out of it.
insert into stock_movement (part_id, quantity, reason, ticket_id, at)
values (%(part_id)s, %(quantity)s, %(reason)s, %(ticket_id)s, %(now)s)

-- name: stock_on_hand
-- Returns the pieces of a part in the store.
select coalesce(sum(quantity), 0)::integer
from stock_movement
where part_id = %(part_id)s
