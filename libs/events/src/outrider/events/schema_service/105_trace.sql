-- What led to a to-do, where traces are recorded: carrying it out begins a trace that is linked to that one.

alter table todos add column trace text;  -- a W3C traceparent
