"""`RowsView`: a feed of events as the gateway gives it with `?view=rows`. Pure.

Each event becomes one record: its envelope (`seq`, `ts`, `kind`; of a line of claude also its `type`, `subtype` and
`parent_tool_use_id`), and instead of its other fields `rows` (a list, `Row.to_dict`; often empty) and `facts`, the
fields of `status --json` that it changes: `status`, `waits_until`, `why`, `state`, `since_unix`, `model`, `unread`,
`usage`, `context_tokens`, `context_window`, `session_id`, `activity`. A field that is absent stays as it was; null
means that it is no longer known, or for `activity` that no turn runs.

A partial line (`type` is `stream_event`) is passed on as it is, with all its fields and neither rows nor facts.
"""
