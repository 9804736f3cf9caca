"""The words by which 2.1.332 names an ending, as its own schemas list them. A newer binary may know more."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


TERMINAL_REASONS = _words(
    """
    aborted_streaming aborted_tools api_error background_requested blocking_limit budget_exhausted completed
    hook_stopped image_error malformed_tool_use_exhausted max_turns model_error prompt_too_long rapid_refill_breaker
    stop_hook_prevented structured_output_retry_exhausted tool_deferred tool_deferred_unavailable turn_setup_failed
    """
)
SUBTYPES = _words(
    """
    error_during_execution error_max_budget_usd error_max_structured_output_retries error_max_turns success
    """
)
STOP_REASONS = _words(
    """
    compaction end_turn max_tokens model_context_window_exceeded pause_turn refusal stop_sequence tool_use
    """
)
# `error` of a synthetic answer and of `api_retry`.
ERRORS = _words(
    """
    account_on_hold authentication_failed billing_error cloud_credential_error invalid_request max_output_tokens
    model_not_found oauth_org_not_allowed overloaded rate_limit server_error unknown verification_required
    """
)
# `api_error` of a synthetic answer and of its `result`: 2.1.197 has none of them.
API_ERRORS = _words(
    """
    advisor_incompatible api_key_auth_disabled autocompact_thrashing claude_code_version_too_old computer_slept
    connection_failed consent_unanswered dlp_request_denied effort_requires_thinking empty_completion field_not_granted
    gateway_content_type gateway_session_expired gateway_signin_required hook_denied invalid_credential_header
    long_context_credits_required malformed_tool_use_exhausted max_output_tokens media_removed
    message_over_context_limit model_requires_usage_credits model_substitution_disabled named_profile_unusable
    network_edge_blocked no_allowed_fallback no_response oauth_refresh_store_refused org_disabled_credential
    pdf_password_protected pdf_too_large provider_credentials safety_monitor_blocked stored_login_refused
    stream_idle_timeout tls_cert_signature_failure tls_untrusted_ca tool_history_mismatch unattended_start_limit
    unattended_start_unconfirmed usage_limit_reached
    """
)
