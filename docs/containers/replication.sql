-- What the streaming replica needs of the primary: a role of its own, and a slot, so that nothing is thrown away that
-- the replica has not read yet (up to max_slot_wal_keep_size). Safe to repeat. See docker-compose.yml, `roles`.

SELECT 'CREATE ROLE wallet_replication' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'wallet_replication') \gexec
ALTER ROLE wallet_replication LOGIN REPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS
    PASSWORD :'replication_password';

SELECT 'SELECT FROM pg_create_physical_replication_slot(''replica'', true)'
WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = 'replica') \gexec
