-- A forecast counts the open steps of a campaign by their time.
create index planned_steps_open on planned_steps (campaign_id, at) where open;
