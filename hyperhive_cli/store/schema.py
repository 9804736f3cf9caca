"""The tables, as lists of migrations: entry n upgrades a database from `user_version` n to n + 1. Pure."""

from collections.abc import Sequence

ENDED = ("done", "dead", "cancelled")  # states of a message whose key can be used again
LISTED = ("ready", "leased", "held", "dead")  # states shown by `inbox` without --all
PAST = ("done", "cancelled")  # the others


def in_states(states: Sequence[str]) -> str:
    """Return the SQL condition for these states, written exactly as in the partial indexes."""
    if len(states) == 1:
        return f"state = '{states[0]}'"
    return f"state IN ({', '.join(map(repr, states))})"


EVENTS: tuple[str, ...] = (
    """
    CREATE TABLE events(
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        ts INTEGER NOT NULL,
        kind TEXT NOT NULL,
        payload_json TEXT NOT NULL
    );
    CREATE INDEX events_ts ON events(ts);
    """,
)

# The words of each chunk without their places, the smallest index: which words are side by side is checked in the
# opened chunk. It has no content, so a row is taken out only by its text; old segments are deleted as a whole.
WORDS_TABLE = "CREATE VIRTUAL TABLE words USING fts5(x, content='', tokenize='unicode61', detail=none)"

SEGMENT: tuple[str, ...] = (
    f"""
    CREATE TABLE chunks(
        first_seq INTEGER PRIMARY KEY,
        last_seq INTEGER NOT NULL UNIQUE,
        first_ts INTEGER NOT NULL,             -- Unix ms; the lowest and the highest of its events
        last_ts INTEGER NOT NULL,
        turn_id INTEGER,                       -- NULL: between turns
        events INTEGER NOT NULL,
        raw_bytes INTEGER NOT NULL,            -- of payload
        indexed INTEGER NOT NULL,              -- 0: too long for `words`; a search always opens it
        codec TEXT NOT NULL,
        body BLOB NOT NULL,
        CHECK (last_seq >= first_seq AND events > 0)
    );
    CREATE INDEX chunks_turn ON chunks(turn_id, first_seq) WHERE turn_id IS NOT NULL;
    {WORDS_TABLE}; -- rowid: first_seq
    """,
)

INBOX: tuple[str, ...] = (
    """
    CREATE TABLE messages(
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT UNIQUE,
        sender TEXT NOT NULL,
        body TEXT NOT NULL,
        raw INTEGER NOT NULL DEFAULT 0,
        state TEXT NOT NULL DEFAULT 'ready'
            CHECK (state IN ('ready', 'leased', 'done', 'dead', 'cancelled')),
        attempts INTEGER NOT NULL DEFAULT 0,   -- that count towards the limit
        deliveries INTEGER NOT NULL DEFAULT 0, -- leases in all
        acted INTEGER NOT NULL DEFAULT 0,      -- an earlier attempt was cut off and may have acted
        not_before INTEGER NOT NULL DEFAULT 0, -- Unix ms
        lease_boot TEXT,                       -- the harness life that holds the lease
        reason TEXT,                           -- why it is dead, or waits
        created INTEGER NOT NULL,              -- Unix ms
        changed INTEGER NOT NULL               -- Unix ms
    );
    CREATE INDEX messages_open ON messages(state, id) WHERE state IN ('ready', 'leased');

    CREATE TABLE turn_stats(
        turn_id INTEGER PRIMARY KEY AUTOINCREMENT,
        message_id INTEGER REFERENCES messages(id), -- NULL for /compact
        attempt INTEGER NOT NULL,
        model TEXT,
        session_id TEXT,
        claude_version TEXT,
        started INTEGER NOT NULL,              -- Unix ms
        duration_ms INTEGER,
        outcome TEXT,                          -- NULL while it runs
        note TEXT,
        exit_status INTEGER,
        input_tokens INTEGER NOT NULL DEFAULT 0,
        output_tokens INTEGER NOT NULL DEFAULT 0,
        cache_read_input_tokens INTEGER NOT NULL DEFAULT 0,
        cache_creation_input_tokens INTEGER NOT NULL DEFAULT 0,
        cost_usd REAL,
        context_tokens INTEGER,
        context_window INTEGER,
        tool_call_count INTEGER NOT NULL DEFAULT 0,
        tool_call_breakdown_json TEXT NOT NULL DEFAULT '{}',
        result_text TEXT
    );
    CREATE INDEX turn_stats_message ON turn_stats(message_id);

    CREATE TABLE facts(
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE messages ADD COLUMN place REAL; -- its place in the queue; NULL: its id
    """,
    """
    ALTER TABLE turn_stats ADD COLUMN compacted_from INTEGER; -- the context's size before a compaction in this turn
    """,
    # SQLite cannot change a CHECK. The new table takes over the sequence of the old one, so that no number is used
    # again, not even that of a deleted row. References to `messages` in other tables stay valid.
    """
    CREATE TABLE messages_with_held(
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT UNIQUE,
        sender TEXT NOT NULL,
        body TEXT NOT NULL,
        raw INTEGER NOT NULL DEFAULT 0,
        state TEXT NOT NULL DEFAULT 'ready'
            CHECK (state IN ('ready', 'leased', 'held', 'done', 'dead', 'cancelled')),
        attempts INTEGER NOT NULL DEFAULT 0,
        deliveries INTEGER NOT NULL DEFAULT 0,
        acted INTEGER NOT NULL DEFAULT 0,
        not_before INTEGER NOT NULL DEFAULT 0,
        lease_boot TEXT,
        reason TEXT,                           -- why it is dead or held, or waits
        created INTEGER NOT NULL,
        changed INTEGER NOT NULL,
        place REAL
    );
    INSERT INTO messages_with_held(id, key, sender, body, raw, state, attempts, deliveries, acted, not_before,
        lease_boot, reason, created, changed, place)
    SELECT id, key, sender, body, raw, state, attempts, deliveries, acted, not_before,
        lease_boot, reason, created, changed, place
    FROM messages;
    DELETE FROM sqlite_sequence WHERE name = 'messages_with_held';
    INSERT INTO sqlite_sequence(name, seq)
    SELECT 'messages_with_held', seq FROM sqlite_sequence WHERE name = 'messages';
    DROP TABLE messages;
    ALTER TABLE messages_with_held RENAME TO messages;
    CREATE INDEX messages_open ON messages(state, id) WHERE state IN ('ready', 'leased');
    """,
    """
    ALTER TABLE turn_stats ADD COLUMN answered_model TEXT; -- by claude's own lines; NULL: not known
    ALTER TABLE turn_stats ADD COLUMN denied INTEGER NOT NULL DEFAULT 0; -- tool calls
    ALTER TABLE turn_stats ADD COLUMN message_state TEXT; -- what became of the message; NULL for /compact
    """,
    """
    ALTER TABLE messages ADD COLUMN planned INTEGER NOT NULL DEFAULT 0; -- by a turn of this agent, at its end
    """,
    # Messages of an earlier release get a uid that is the same in every copy of this file: the hive may already have
    # them, identified by the name of this folder there and their number here.
    """
    ALTER TABLE messages ADD COLUMN uid TEXT NOT NULL DEFAULT ''; -- random, and the same in every copy of the message
    UPDATE messages SET uid = coalesce(
        (SELECT substr(value, 1, instr(value, '@') - 1) FROM facts WHERE name = 'hive_origin' AND value LIKE '_%@%'),
        printf('%x', created)
    ) || ':' || id;
    """,
    # SQLite uses a partial index only if the query repeats its condition: `state = 'ready'`, not `state IN (…)`.
    """
    DROP INDEX messages_open;
    CREATE INDEX messages_queue ON messages(coalesce(place, id), id, not_before) WHERE state = 'ready';
    CREATE INDEX messages_leased ON messages(id) WHERE state = 'leased';
    CREATE INDEX messages_held ON messages(id) WHERE state = 'held';
    CREATE INDEX messages_dead ON messages(id) WHERE state = 'dead';
    CREATE INDEX messages_keyed ON messages(changed) WHERE key IS NOT NULL;
    CREATE INDEX messages_ended ON messages(changed) WHERE state IN ('done', 'dead', 'cancelled');
    CREATE INDEX turns_started ON turn_stats(started);
    CREATE INDEX turns_open ON turn_stats(turn_id) WHERE outcome IS NULL;
    CREATE INDEX turns_compacted ON turn_stats(turn_id) WHERE compacted_from IS NOT NULL;
    """,
    """
    ALTER TABLE messages ADD COLUMN start INTEGER; -- the `not_before` that was asked for; NULL: by an earlier release
    ALTER TABLE messages ADD COLUMN edited INTEGER; -- Unix ms; NULL: the text is as it was sent
    """,
    """
    CREATE TABLE schedules(
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        expression TEXT NOT NULL,              -- five fields of cron, or a word: @daily
        zone TEXT NOT NULL,                    -- as IANA names it
        sender TEXT NOT NULL,
        raw INTEGER NOT NULL DEFAULT 0,
        missed TEXT NOT NULL DEFAULT 'once' CHECK (missed IN ('skip', 'once', 'all')),
        overlap TEXT NOT NULL DEFAULT 'skip' CHECK (overlap IN ('skip', 'queue')),
        jitter_s INTEGER NOT NULL DEFAULT 0,
        adopted TEXT,                          -- claude's id of a job that a turn had planned; NULL: a person added it
        paused INTEGER NOT NULL DEFAULT 0,
        next_slot INTEGER,                     -- Unix ms; NULL: none
        last_slot INTEGER,                     -- the newest that was sent or skipped
        last_skipped INTEGER,
        fired INTEGER NOT NULL DEFAULT 0,      -- messages
        skipped INTEGER NOT NULL DEFAULT 0,    -- slots
        created INTEGER NOT NULL,
        changed INTEGER NOT NULL,
        body TEXT NOT NULL                     -- the last column: a long one has pages of its own
    );
    CREATE INDEX schedules_due ON schedules(next_slot) WHERE paused = 0;
    CREATE INDEX schedules_ahead ON schedules(last_slot) WHERE paused = 0;
    CREATE INDEX messages_open_keys ON messages(key) WHERE key IS NOT NULL AND state IN ('ready', 'leased');
    """,
    # In the index, so that a lease can pass many of them without reading their rows.
    """
    ALTER TABLE messages ADD COLUMN idle INTEGER NOT NULL DEFAULT 0; -- it waits while too little of the plan is left
    DROP INDEX messages_queue;
    CREATE INDEX messages_queue ON messages(coalesce(place, id), id, not_before, idle) WHERE state = 'ready';
    """,
)
