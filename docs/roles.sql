-- The three roles of the wallet and its database. Run once by a superuser, before the first migration.
-- The local runner runs this same file; in production a person does, with psql:
--
--   psql -v owner_password=… -v app_password=… -v auditor_password=… -f docs/roles.sql postgres
--
-- Running it again changes passwords and settings and nothing else.

-- Migrates, and owns every table. No program that serves requests signs in as this role.
SELECT 'CREATE ROLE wallet_owner' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'wallet_owner') \gexec
ALTER ROLE wallet_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS
    PASSWORD :'owner_password';
ALTER ROLE wallet_owner SET lock_timeout = '30s';

-- Web and workers. Its rights are granted table by table in the migrations; none of them disables a trigger.
SELECT 'CREATE ROLE wallet_app' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'wallet_app') \gexec
ALTER ROLE wallet_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS
    PASSWORD :'app_password';
ALTER ROLE wallet_app SET lock_timeout = '3s';
ALTER ROLE wallet_app SET statement_timeout = '30s';
ALTER ROLE wallet_app SET idle_in_transaction_session_timeout = '30s';

-- Reads the auditor's views. An export may take long, so no statement of it is cut off.
SELECT 'CREATE ROLE wallet_auditor' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'wallet_auditor') \gexec
ALTER ROLE wallet_auditor LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS
    PASSWORD :'auditor_password';
ALTER ROLE wallet_auditor SET default_transaction_read_only = on;
ALTER ROLE wallet_auditor SET lock_timeout = '3s';
ALTER ROLE wallet_auditor SET statement_timeout = 0;
ALTER ROLE wallet_auditor SET idle_in_transaction_session_timeout = '10min';

SELECT 'CREATE DATABASE wallet OWNER wallet_owner TEMPLATE template0 ENCODING ''UTF8'''
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'wallet') \gexec
REVOKE CONNECT, TEMPORARY ON DATABASE wallet FROM PUBLIC;
GRANT CONNECT ON DATABASE wallet TO wallet_owner, wallet_app, wallet_auditor;
