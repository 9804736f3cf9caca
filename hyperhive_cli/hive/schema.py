"""The hive's tables, as a list of migrations: entry n brings a database from version n to n + 1. Pure text.

`until` and all stamps that decide something are the database's own time. `event.seq` is counted in the agent's row,
whose lock makes it free of gaps in the order of the commits: a sequence would let a follower skip a late commit.
"""

OPERATORS, MACHINES = "hyperhive_operator", "hyperhive_machine"
CHANNEL = "hyperhive"  # payloads: a letter (e: events, m: messages, a: agent, c: account), a colon, a name
LOCK = 7_405_371_188  # the advisory lock of a migration: any number that no other program uses

HIVE: tuple[str, ...] = (
    r"""
    CREATE TABLE hyperhive.agent(
        name text PRIMARY KEY CHECK (name ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
        owner text,                               -- the machine that holds the lease; NULL: it was given back
        origin text,                              -- the state folder it runs in, or last ran in
        epoch bigint NOT NULL DEFAULT 0,          -- raised by each takeover: the fence
        until timestamptz NOT NULL DEFAULT 'epoch',
        wanted text,                              -- the only machine that should run it; NULL: any
        seq bigint NOT NULL DEFAULT 0,            -- of the newest event
        shipped bigint NOT NULL DEFAULT 0,        -- of the newest event, in its origin's own numbers
        last_message bigint NOT NULL DEFAULT 0,
        account text                              -- a digest: agents with the same one share credentials
    ) WITH (fillfactor = 50);
    CREATE TABLE hyperhive.shipped(               -- how far each state folder's history has come, when it was left
        agent text NOT NULL REFERENCES hyperhive.agent(name) ON DELETE CASCADE,
        origin text NOT NULL,
        shipped bigint NOT NULL,
        PRIMARY KEY (agent, origin)
    );
    CREATE TABLE hyperhive.report(                -- what `status --json` would say on its machine
        agent text PRIMARY KEY REFERENCES hyperhive.agent(name) ON DELETE CASCADE,
        body text NOT NULL,
        changed timestamptz NOT NULL DEFAULT clock_timestamp()
    ) WITH (fillfactor = 50);
    CREATE TABLE hyperhive.inbox(
        agent text NOT NULL REFERENCES hyperhive.agent(name) ON DELETE CASCADE,
        id bigint NOT NULL,                       -- counted for each agent
        key text,
        sender text NOT NULL,
        body text NOT NULL,
        raw boolean NOT NULL DEFAULT false,
        state text NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'leased', 'done', 'dead', 'cancelled')),
        attempts integer NOT NULL DEFAULT 0,
        deliveries integer NOT NULL DEFAULT 0,
        acted boolean NOT NULL DEFAULT false,
        not_before bigint NOT NULL DEFAULT 0,     -- Unix ms
        epoch bigint,                             -- of the lease it was taken under
        place double precision,                   -- its place in the queue; NULL: its id
        reason text,
        created bigint NOT NULL,                  -- Unix ms
        changed bigint NOT NULL,
        PRIMARY KEY (agent, id),
        UNIQUE (agent, key)
    );
    CREATE INDEX inbox_open ON hyperhive.inbox(agent, state) WHERE state IN ('ready', 'leased', 'dead');
    CREATE TABLE hyperhive.event(
        agent text NOT NULL REFERENCES hyperhive.agent(name) ON DELETE CASCADE,
        seq bigint NOT NULL,
        ts bigint NOT NULL,
        kind text NOT NULL,
        body text NOT NULL,                       -- JSON as text: jsonb refuses \u0000 and lone surrogates
        PRIMARY KEY (agent, seq)
    );
    CREATE TABLE hyperhive.turn(                  -- as turn_stats of the state folder
        agent text NOT NULL REFERENCES hyperhive.agent(name) ON DELETE CASCADE,
        origin text NOT NULL,
        turn_id bigint NOT NULL,
        message_id bigint,
        attempt integer NOT NULL,
        model text,
        session_id text,
        claude_version text,
        started bigint NOT NULL,
        duration_ms bigint,
        outcome text NOT NULL,
        note text,
        exit_status integer,
        input_tokens bigint NOT NULL,
        output_tokens bigint NOT NULL,
        cache_read_input_tokens bigint NOT NULL,
        cache_creation_input_tokens bigint NOT NULL,
        cost_usd double precision,
        context_tokens bigint,
        context_window bigint,
        tool_call_count integer NOT NULL,
        tool_call_breakdown_json text NOT NULL,
        result_text text,
        PRIMARY KEY (agent, origin, turn_id)
    );
    CREATE INDEX turn_message ON hyperhive.turn(agent, message_id);
    CREATE INDEX turn_started ON hyperhive.turn(agent, started);
    CREATE TABLE hyperhive.account(               -- what the agents of one login have to wait for
        account text PRIMARY KEY,
        status text NOT NULL,                     -- online, needs_login_idle, rate_limited
        until_unix bigint,                        -- by the database's clock
        agent text NOT NULL,                      -- who said so
        changed timestamptz NOT NULL DEFAULT clock_timestamp()
    );
    CREATE TABLE hyperhive.machine(
        name text PRIMARY KEY,
        draining boolean NOT NULL DEFAULT false,  -- it gives its agents back and takes none
        seen timestamptz NOT NULL DEFAULT clock_timestamp()
    );
    CREATE TABLE hyperhive.placement(             -- which agents a role may run, as patterns of LIKE
        role text NOT NULL,
        pattern text NOT NULL,
        PRIMARY KEY (role, pattern)
    );

    -- The session's user and not the current one, which inside of this function is its owner.
    CREATE FUNCTION hyperhive.patterns() RETURNS text[] LANGUAGE sql STABLE SECURITY DEFINER
        SET search_path = pg_catalog
        AS $$ SELECT coalesce(array_agg(pattern), '{}') FROM hyperhive.placement WHERE role = session_user $$;

    DO $$
    DECLARE relation text;
    BEGIN
        FOREACH relation IN ARRAY ARRAY['agent', 'shipped', 'report', 'inbox', 'event', 'turn'] LOOP
            EXECUTE format('ALTER TABLE hyperhive.%I ENABLE ROW LEVEL SECURITY', relation);
            -- In a query of its own, so that it is asked for once and not for each row.
            EXECUTE format(
                'CREATE POLICY machines ON hyperhive.%I TO hyperhive_machine
                 USING (%I LIKE ANY ((SELECT hyperhive.patterns())::text[]))',
                relation, CASE relation WHEN 'agent' THEN 'name' ELSE 'agent' END);
            EXECUTE format('CREATE POLICY operators ON hyperhive.%I TO hyperhive_operator USING (true)', relation);
        END LOOP;
    END $$;

    GRANT USAGE ON SCHEMA hyperhive TO hyperhive_machine, hyperhive_operator;
    GRANT SELECT ON ALL TABLES IN SCHEMA hyperhive TO hyperhive_machine, hyperhive_operator;
    GRANT INSERT, UPDATE ON hyperhive.agent, hyperhive.shipped, hyperhive.report, hyperhive.inbox, hyperhive.account,
        hyperhive.machine TO hyperhive_machine;
    GRANT INSERT, DELETE ON hyperhive.event TO hyperhive_machine;
    GRANT INSERT ON hyperhive.turn TO hyperhive_machine;
    GRANT INSERT, UPDATE ON hyperhive.inbox, hyperhive.machine TO hyperhive_operator;
    -- An operator may say where an agent should run, and number a message, but not whose agent it is.
    GRANT INSERT (name, last_message), UPDATE (last_message, wanted) ON hyperhive.agent TO hyperhive_operator;
    """,
    r"""
    -- What an account waits for stands while the agent that found it lives, which those who wait may not see.
    CREATE FUNCTION hyperhive.finder_is_alive(account text) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
        SET search_path = pg_catalog
        AS $$ SELECT EXISTS (
            SELECT FROM hyperhive.account AS known JOIN hyperhive.agent ON name = agent
            WHERE known.account = finder_is_alive.account AND until > clock_timestamp()
        ) $$;

    -- A machine speaks for its own agents alone; what one has found, another one may end.
    ALTER TABLE hyperhive.account ENABLE ROW LEVEL SECURITY;
    CREATE POLICY looks ON hyperhive.account FOR SELECT TO hyperhive_machine, hyperhive_operator USING (true);
    CREATE POLICY finds ON hyperhive.account FOR INSERT TO hyperhive_machine
        WITH CHECK (agent LIKE ANY ((SELECT hyperhive.patterns())::text[]));
    CREATE POLICY changes ON hyperhive.account FOR UPDATE TO hyperhive_machine
        USING (true) WITH CHECK (agent LIKE ANY ((SELECT hyperhive.patterns())::text[]));

    -- Only operators may drain a machine. The rules of who may run what are hidden from all roles.
    REVOKE INSERT, UPDATE ON hyperhive.machine FROM hyperhive_machine;
    GRANT INSERT (name) ON hyperhive.machine TO hyperhive_machine;
    REVOKE SELECT ON hyperhive.placement FROM hyperhive_machine, hyperhive_operator;
    """,
    r"""
    -- A message that runs no more until a person says so.
    ALTER TABLE hyperhive.inbox DROP CONSTRAINT inbox_state_check, ADD CONSTRAINT inbox_state_check
        CHECK (state IN ('ready', 'leased', 'held', 'done', 'dead', 'cancelled'));
    DROP INDEX hyperhive.inbox_open;
    CREATE INDEX inbox_open ON hyperhive.inbox(agent, state) WHERE state IN ('ready', 'leased', 'held', 'dead');
    """,
    r"""
    ALTER TABLE hyperhive.turn ADD COLUMN answered_model text, ADD COLUMN denied integer NOT NULL DEFAULT 0,
        ADD COLUMN message_state text;
    """,
    r"""
    -- A message is known by what it has from its birth: its number on a machine is given again after a restore. What an
    -- earlier release handed over has the name of its folder and its number there as its key.
    ALTER TABLE hyperhive.inbox ADD COLUMN uid text NOT NULL DEFAULT replace(gen_random_uuid()::text, '-', '');
    UPDATE hyperhive.inbox SET uid = key, key = NULL WHERE key ~ '^[0-9a-f]{32}:[0-9]+$';
    ALTER TABLE hyperhive.inbox ADD UNIQUE (agent, uid);
    """,
    r"""
    -- When the event `shipped` happened, Unix ms: in a history that was restored its number may be of another event.
    ALTER TABLE hyperhive.agent ADD COLUMN shipped_ts bigint;
    ALTER TABLE hyperhive.shipped ADD COLUMN shipped_ts bigint;
    """,
    r"""
    -- Messages that ended long ago lose their texts, and their turns the results.
    CREATE INDEX inbox_kept ON hyperhive.inbox(agent, changed)
        WHERE state IN ('done', 'dead', 'cancelled') AND body <> '';
    GRANT UPDATE (result_text) ON hyperhive.turn TO hyperhive_machine;
    """,
    r"""
    -- A right to change or delete any row of a table is one to lock all of it, and so everyone out: columns instead.
    -- Only an operator says where an agent should run.
    REVOKE INSERT, UPDATE ON hyperhive.agent FROM hyperhive_machine;
    REVOKE UPDATE ON hyperhive.shipped, hyperhive.report, hyperhive.inbox, hyperhive.account FROM hyperhive_machine;
    REVOKE DELETE ON hyperhive.event FROM hyperhive_machine;
    GRANT INSERT (name, last_message),
        UPDATE (owner, origin, epoch, until, seq, shipped, shipped_ts, last_message, account)
        ON hyperhive.agent TO hyperhive_machine;
    GRANT UPDATE (shipped, shipped_ts) ON hyperhive.shipped TO hyperhive_machine;
    GRANT UPDATE (body, changed) ON hyperhive.report TO hyperhive_machine;
    GRANT UPDATE (key, body, state, attempts, deliveries, acted, not_before, epoch, place, reason, changed)
        ON hyperhive.inbox TO hyperhive_machine;
    GRANT UPDATE (status, until_unix, agent, changed) ON hyperhive.account TO hyperhive_machine;

    CREATE FUNCTION hyperhive.drop_events(of_agent text, upto bigint) RETURNS void LANGUAGE sql SECURITY DEFINER
        SET search_path = pg_catalog
        AS $$ DELETE FROM hyperhive.event WHERE agent = of_agent AND seq <= upto AND (
            of_agent LIKE ANY (hyperhive.patterns()) OR has_table_privilege(session_user, 'hyperhive.event', 'DELETE')
        ) $$;
    REVOKE EXECUTE ON FUNCTION hyperhive.drop_events FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION hyperhive.drop_events TO hyperhive_machine;

    -- A machine says of an account that one of its own agents uses what to wait for, 41 days at most: no limit is one
    -- of more than a month. That there is nothing to wait for it may say of one that the agent used before, too.
    ALTER TABLE hyperhive.agent ADD COLUMN login text;  -- as `account`: agents with the same one share a login
    GRANT UPDATE (login) ON hyperhive.agent TO hyperhive_machine;
    DROP POLICY finds ON hyperhive.account;
    DROP POLICY changes ON hyperhive.account;
    DO $$
    DECLARE said CONSTANT text := 'agent LIKE ANY ((SELECT hyperhive.patterns())::text[]) AND (status = ''online''
        OR coalesce(until_unix, 0) < extract(epoch FROM clock_timestamp()) + 3542400 AND EXISTS (
            SELECT FROM hyperhive.agent AS finder
            WHERE finder.name = account.agent AND account.account IN (finder.account, finder.login)))';
    BEGIN
        EXECUTE 'CREATE POLICY finds ON hyperhive.account FOR INSERT TO hyperhive_machine WITH CHECK (' || said || ')';
        EXECUTE 'CREATE POLICY changes ON hyperhive.account FOR UPDATE TO hyperhive_machine USING (true)
            WITH CHECK (' || said || ')';
    END $$;
    """,
    r"""
    -- A message that waits may be edited and given another time; `start` is the `not_before` that was asked for.
    ALTER TABLE hyperhive.inbox ADD COLUMN start bigint, ADD COLUMN edited bigint;
    GRANT UPDATE (edited) ON hyperhive.inbox TO hyperhive_machine;
    """,
    r"""
    -- Events are kept for weeks, in segments that are dropped whole: a new one each day. An agent's newest 2,000 events
    -- are kept however old they are: what a segment has of them moves to segment 0, the table of before, when it is
    -- dropped. There is always an open segment, so that no clock and no missed step can refuse an event.
    CREATE TABLE hyperhive.segment(
        number integer PRIMARY KEY,               -- the highest one is open: events are added to it
        opened timestamptz NOT NULL DEFAULT clock_timestamp(),
        kept_of text NOT NULL DEFAULT ''          -- the last agent whose newest events were saved from it
    );
    CREATE TABLE hyperhive.retention(days integer NOT NULL, bytes bigint NOT NULL);
    INSERT INTO hyperhive.retention VALUES (30, 10000000000);
    GRANT SELECT ON hyperhive.segment, hyperhive.retention TO hyperhive_machine, hyperhive_operator;

    -- So that a follower need not look into each segment: the newest event's own fields, its segment, and the agent's
    -- first event in that. All later ones are in there, or in segment 0 if it was dropped.
    ALTER TABLE hyperhive.agent ADD COLUMN newest_ts bigint, ADD COLUMN newest_kind text,
        ADD COLUMN segment integer NOT NULL DEFAULT 0, ADD COLUMN first_seq bigint NOT NULL DEFAULT 1;
    UPDATE hyperhive.agent SET (newest_ts, newest_kind) = (
        SELECT ts, kind FROM hyperhive.event WHERE event.agent = name AND event.seq = agent.seq);
    GRANT UPDATE (newest_ts, newest_kind, segment, first_seq) ON hyperhive.agent TO hyperhive_machine;

    DROP FUNCTION hyperhive.drop_events;
    DROP POLICY machines ON hyperhive.event;
    DROP POLICY operators ON hyperhive.event;
    REVOKE ALL ON hyperhive.event FROM hyperhive_machine, hyperhive_operator;
    ALTER TABLE hyperhive.event DISABLE ROW LEVEL SECURITY, DROP CONSTRAINT event_agent_fkey,
        ADD COLUMN segment integer NOT NULL DEFAULT 0, ADD CONSTRAINT event_0_segment CHECK (segment = 0);
    ALTER TABLE hyperhive.event RENAME TO event_0;
    ALTER INDEX hyperhive.event_pkey RENAME TO event_0_pkey;
    CREATE INDEX ON hyperhive.event_0(agent, seq) WHERE kind <> 'stream';
    CREATE TABLE hyperhive.event(LIKE hyperhive.event_0) PARTITION BY LIST (segment);
    ALTER TABLE hyperhive.event ATTACH PARTITION hyperhive.event_0 FOR VALUES IN (0);
    ALTER TABLE hyperhive.event ENABLE ROW LEVEL SECURITY;
    CREATE POLICY machines ON hyperhive.event TO hyperhive_machine
        USING (agent LIKE ANY ((SELECT hyperhive.patterns())::text[]));
    CREATE POLICY operators ON hyperhive.event TO hyperhive_operator USING (true);
    GRANT SELECT ON hyperhive.event TO hyperhive_machine, hyperhive_operator;
    GRANT INSERT ON hyperhive.event TO hyperhive_machine;

    -- In place of a foreign key, whose lock on all agents a new segment would need.
    CREATE FUNCTION hyperhive.delete_events() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
    BEGIN
        DELETE FROM hyperhive.event WHERE agent = OLD.name;
        RETURN NULL;
    END $$;
    CREATE TRIGGER events AFTER DELETE ON hyperhive.agent FOR EACH ROW EXECUTE FUNCTION hyperhive.delete_events();

    -- A table that is attached locks out no reader and no writer; one that is created as a partition does.
    CREATE FUNCTION hyperhive.open_segment() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
    DECLARE
        fresh integer := (SELECT coalesce(max(number), 0) + 1 FROM hyperhive.segment);
        name text := 'event_' || fresh;
    BEGIN
        EXECUTE format('CREATE TABLE hyperhive.%I(LIKE hyperhive.event, PRIMARY KEY (agent, seq), '
            'CHECK (segment = %s))', name, fresh);
        EXECUTE format('CREATE INDEX ON hyperhive.%I(agent, seq) WHERE kind <> %L', name, 'stream');
        EXECUTE format('ALTER TABLE hyperhive.event ATTACH PARTITION hyperhive.%I FOR VALUES IN (%s)', name, fresh);
        INSERT INTO hyperhive.segment(number) VALUES (fresh);
    END $$;
    SELECT hyperhive.open_segment();

    CREATE FUNCTION hyperhive.history_bytes() RETURNS bigint LANGUAGE sql STABLE SET search_path = pg_catalog
        AS $$ SELECT sum(pg_total_relation_size(relid))::bigint FROM pg_partition_tree('hyperhive.event')
              WHERE isleaf $$;

    -- Save an agent's newest 2,000 events from a segment that is about to be dropped; return how many were moved.
    -- Older ones go from segment 0 too, or numbers would be missing in between.
    CREATE FUNCTION hyperhive.save_newest(of_agent text, victim integer) RETURNS bigint LANGUAGE plpgsql
        SET search_path = pg_catalog AS $$
    DECLARE
        upto bigint := (SELECT seq FROM hyperhive.event WHERE agent = of_agent ORDER BY seq DESC OFFSET 2000 LIMIT 1);
        moved bigint;
    BEGIN
        DELETE FROM hyperhive.event WHERE segment = 0 AND agent = of_agent AND seq <= upto;
        WITH gone AS (
            DELETE FROM hyperhive.event WHERE segment = victim AND agent = of_agent AND (upto IS NULL OR seq > upto)
            RETURNING agent, seq, ts, kind, body
        ) INSERT INTO hyperhive.event(agent, seq, ts, kind, body, segment) SELECT *, 0 FROM gone;
        GET DIAGNOSTICS moved = ROW_COUNT;
        RETURN moved;
    END $$;

    -- Open a segment if one is due, or make a step towards dropping the oldest one if that is due; return whether there
    -- may be more to do. Any machine may ask for it, as often as it likes.
    CREATE FUNCTION hyperhive.keep_history() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog SET timezone = 'UTC' SET lock_timeout = '1s' AS $$
    DECLARE
        rule hyperhive.retention;
        newest hyperhive.segment;
        victim hyperhive.segment;
        closed timestamptz;
        of_agent text;
        moved bigint := 0;
    BEGIN
        IF NOT pg_try_advisory_xact_lock(7405371189) THEN
            RETURN false;
        END IF;
        SELECT * INTO rule FROM hyperhive.retention;
        SELECT * INTO newest FROM hyperhive.segment ORDER BY number DESC LIMIT 1;
        IF newest.opened::date <> clock_timestamp()::date OR
            pg_total_relation_size(format('hyperhive.event_%s', newest.number)::regclass)
                > greatest(rule.bytes / 16, 1000000) THEN
            PERFORM hyperhive.open_segment();
            RETURN true;
        END IF;
        SELECT * INTO victim FROM hyperhive.segment ORDER BY number LIMIT 1;
        SELECT opened INTO closed FROM hyperhive.segment WHERE number > victim.number ORDER BY number LIMIT 1;
        IF closed IS NULL OR closed > clock_timestamp() - interval '1 minute'  -- it may still be written to
            OR closed > clock_timestamp() - make_interval(days => rule.days) AND hyperhive.history_bytes() <= rule.bytes
        THEN
            RETURN false;
        END IF;
        FOR of_agent IN SELECT name FROM hyperhive.agent WHERE name > victim.kept_of ORDER BY name LIMIT 100 LOOP
            moved := moved + hyperhive.save_newest(of_agent, victim.number);
            UPDATE hyperhive.segment SET kept_of = of_agent WHERE number = victim.number;
            EXIT WHEN moved >= 1000;  -- a step should be short
        END LOOP;
        IF NOT FOUND THEN
            EXECUTE format('DROP TABLE hyperhive.event_%s', victim.number);
            DELETE FROM hyperhive.segment WHERE number = victim.number;
        END IF;
        RETURN true;
    EXCEPTION WHEN lock_not_available THEN  -- a backup reads the table
        RETURN false;
    END $$;
    REVOKE EXECUTE ON FUNCTION hyperhive.open_segment, hyperhive.save_newest, hyperhive.keep_history FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION hyperhive.keep_history TO hyperhive_machine;
    """,
    r"""
    -- A message that waits while too little of the account's plan is left, which its machine knows.
    ALTER TABLE hyperhive.inbox ADD COLUMN idle boolean NOT NULL DEFAULT false;
    GRANT UPDATE (idle) ON hyperhive.inbox TO hyperhive_machine;
    """,
    r"""
    -- Messages that are sent again and again, by the machine that runs the agent: as `schedules` of the state folder.
    CREATE TABLE hyperhive.schedule(
        agent text NOT NULL REFERENCES hyperhive.agent(name) ON DELETE CASCADE,
        -- Above those of a machine's own: both are part of the keys of messages.
        id bigint GENERATED ALWAYS AS IDENTITY (START WITH 1000000) PRIMARY KEY,
        name text NOT NULL,
        expression text NOT NULL,
        zone text NOT NULL,
        sender text NOT NULL,
        body text NOT NULL,
        raw boolean NOT NULL,
        missed text NOT NULL CHECK (missed IN ('skip', 'once', 'all')),
        overlap text NOT NULL CHECK (overlap IN ('skip', 'queue')),
        jitter_s integer NOT NULL,
        adopted text,
        paused boolean NOT NULL,
        next_slot bigint,                         -- Unix ms, as all moments here; NULL: none
        last_slot bigint,
        last_skipped bigint,
        fired bigint NOT NULL,
        skipped bigint NOT NULL,
        created bigint NOT NULL,
        changed bigint NOT NULL,
        UNIQUE (agent, name)
    );
    ALTER TABLE hyperhive.schedule ENABLE ROW LEVEL SECURITY;
    CREATE POLICY machines ON hyperhive.schedule TO hyperhive_machine
        USING (agent LIKE ANY ((SELECT hyperhive.patterns())::text[]));
    CREATE POLICY operators ON hyperhive.schedule TO hyperhive_operator USING (true);
    GRANT SELECT, INSERT ON hyperhive.schedule TO hyperhive_machine, hyperhive_operator;
    GRANT UPDATE, DELETE ON hyperhive.schedule TO hyperhive_operator;
    GRANT UPDATE (expression, zone, sender, body, raw, missed, overlap, jitter_s, paused, next_slot, last_slot,
        last_skipped, fired, skipped, changed) ON hyperhive.schedule TO hyperhive_machine;

    CREATE FUNCTION hyperhive.remove_schedule(of_agent text, of_id bigint) RETURNS void LANGUAGE sql SECURITY DEFINER
        SET search_path = pg_catalog
        AS $$ DELETE FROM hyperhive.schedule WHERE agent = of_agent AND id = of_id AND (
            of_agent LIKE ANY (hyperhive.patterns())
            OR has_table_privilege(session_user, 'hyperhive.schedule', 'DELETE')
        ) $$;
    REVOKE EXECUTE ON FUNCTION hyperhive.remove_schedule FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION hyperhive.remove_schedule TO hyperhive_machine, hyperhive_operator;
    """,
)
