-- What is used of today's limits is summed up whenever metrics are asked for, among all days that ever were.

create index credential_days_day on credential_days (day);
