-- Where something is sealed, for `outrider reseal`: few among all the persons. The names are those of the code that seals.

create index vault_sealed on vault (owner, name) where name in ('secrets', 'oauth2_rotated', 'endpoint');
