-- One intake for every channel, and the kinds of work: what is refused is kept, what is looked up follows (SPEC T8, T10).

-- Null for tickets that came in before anybody noted the way.
alter table ticket add column channel text check (
  channel in ('device', 'console', 'qr', 'api', 'integration', 'schedule')
);
update ticket
set channel = case left(code, 1)
  when 'D' then 'device'
  when 'S' then 'schedule'
  when 'I' then 'integration'
  else (
    select e.channel
    from ticket_event e
    where e.ticket_id = ticket.id
      and e.number = 1
      and e.channel in ('console', 'api')
  )
end;

create index asset_of_serial_number on asset ((upper(btrim(normalize(serial_number, nfkc)))))
  where serial_number is not null;

-- A record of another system has one ticket, however often it is sent. Numbers of others are opaque: E00123 is not 123.
create table ticket_reference (
  source text not null check (length(source) between 1 and 64),
  reference text not null check (length(reference) between 1 and 64),
  ticket_id uuid not null references ticket,
  added_at timestamptz not null,
  primary key (source, reference)
);
create index ticket_reference_of_ticket on ticket_reference (ticket_id);
