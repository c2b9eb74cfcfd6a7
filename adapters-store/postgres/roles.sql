-- Two roles with the least privileges. A superuser runs this once, connected to the database of Grantry:
--
--     psql --dbname grantry --file roles.sql
--
-- Then `\password grantry_owner` and `\password grantry_app` set the passwords. `grantry_owner` starts one node after each
-- upgrade, which migrates the schema, and is not used otherwise. `grantry_app` is the role of `store.url`. It reads and writes
-- rows, also of tables that a later migration adds, and cannot change the schema.

CREATE ROLE grantry_owner LOGIN;
CREATE ROLE grantry_app LOGIN;

-- Until PostgreSQL 14, every role may create tables in this schema, and a schema can be usable by every role.
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO grantry_owner;
GRANT USAGE ON SCHEMA public TO grantry_app;

ALTER DEFAULT PRIVILEGES FOR ROLE grantry_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO grantry_app;
