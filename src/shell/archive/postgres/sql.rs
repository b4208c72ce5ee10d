//! The statements of the archive in PostgreSQL.
//!
//! Reads go through the primary key, which contains topic and size, so a page is selected without
//! reading envelopes.

/// Several servers may start at once: one of them creates the tables.
pub(super) const SCHEMA: &str = "
    SET synchronous_commit TO on;
    SET statement_timeout TO '20s';
    SET client_min_messages TO warning;
    BEGIN;
    SELECT pg_advisory_xact_lock(2003334515);
    DO $make$ BEGIN
        IF to_regclass('whisht_archive') IS NULL THEN
            CREATE TABLE whisht_archive (version integer NOT NULL);
            INSERT INTO whisht_archive VALUES (1);
            CREATE TABLE whisht_envelope (
                sent  bigint NOT NULL,
                hash  bytea NOT NULL,
                topic bytea NOT NULL,
                size  integer NOT NULL,
                data  bytea NOT NULL,
                PRIMARY KEY (sent, hash) INCLUDE (topic, size)
            );
            ALTER TABLE whisht_envelope ALTER COLUMN data SET STORAGE EXTERNAL;
        END IF;
    END $make$;
    COMMIT;
";
pub(super) const INSERT: &str = "
    INSERT INTO whisht_envelope (sent, hash, topic, size, data)
    SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::integer[], $5::bytea[])
    ON CONFLICT DO NOTHING";
/// Answered from the index alone.
pub(super) const INDEX: &str = "
    SELECT sent, hash, topic, size FROM whisht_envelope
    WHERE (sent, hash) > ($1, $2) AND sent <= $3 ORDER BY sent, hash LIMIT $4";
pub(super) const FETCH: &str = "
    SELECT sent, hash, data FROM whisht_envelope
    WHERE (sent, hash) IN (SELECT * FROM unnest($1::bigint[], $2::bytea[]))
    ORDER BY sent, hash";
/// Of the oldest envelopes: those above the maximum age, and as many as exceed the size.
pub(super) const DELETE: &str = "
    WITH oldest AS (
        SELECT sent, hash, size + $2::bigint AS bytes FROM whisht_envelope
        ORDER BY sent, hash LIMIT $1
    ), counted AS (
        SELECT sent, hash, sum(bytes) OVER (ORDER BY sent, hash) - bytes AS older FROM oldest
    )
    DELETE FROM whisht_envelope WHERE (sent, hash) IN
    (SELECT sent, hash FROM counted WHERE sent < $3 OR older < $4::bigint)
    RETURNING size";
pub(super) const SUM: &str =
    "SELECT coalesce(sum(size + $1::bigint), 0)::bigint FROM whisht_envelope";
pub(super) const CONTENTS: &str = "
    SELECT pg_total_relation_size('whisht_envelope'), (SELECT min(sent) FROM whisht_envelope)";
