"""Answers of tools that run at the API, with what is shown of them: in the terminal and on the page."""

from typing import Any

PAGE = {"type": "web_search_result", "title": "Hyperhive", "url": "https://example.org/h", "encrypted_content": "eA=="}
DOCUMENT = {"type": "document", "title": "A page", "source": {"type": "text", "data": "its words"}}

# A block, and the text, the label and whether the tool failed.
SERVED: list[tuple[dict[str, Any], tuple[str, str, bool]]] = [
    ({"type": "web_search_tool_result", "content": [PAGE, {"url": "https://example.org/i"}]},
     ("Hyperhive — https://example.org/h\nhttps://example.org/i", "2 pages", False)),
    ({"type": "web_search_tool_result", "content": []}, ("", "no output", False)),
    ({"type": "web_search_tool_result", "content": {"type": "web_search_tool_result_error",
                                                   "error_code": "max_uses_exceeded"}},
     ("", "max uses exceeded", True)),
    ({"type": "web_fetch_tool_result", "content": {"type": "web_fetch_result", "url": "https://example.org/p",
                                                  "content": DOCUMENT}},
     ("A page — https://example.org/p\nits words", "", False)),
    ({"type": "web_fetch_tool_result", "content": {"url": "https://example.org/p", "content": {"source": {
        "type": "base64", "data": "eA=="}}}}, ("https://example.org/p", "", False)),
    ({"type": "code_execution_tool_result", "content": {"stdout": "4\n", "stderr": "", "return_code": 0}},
     ("4", "", False)),
    ({"type": "bash_code_execution_tool_result", "content": {"stdout": "a", "stderr": "b", "return_code": 3}},
     ("a\nb", "exit 3", True)),
    ({"type": "bash_code_execution_tool_result", "content": {"stdout": ""}}, ("", "no output", False)),
    ({"type": "mcp_tool_result", "is_error": False, "content": [{"type": "text", "text": "hi"}]}, ("hi", "", False)),
    ({"type": "mcp_tool_result", "is_error": True, "content": [{"type": "text", "text": "no"}]}, ("no", "error", True)),
    ({"type": "tool_search_tool_result", "content": {"tool_references": [{"tool_name": "a"}, {"tool_name": "b"}]}},
     ("a b", "2 found", False)),
    ({"type": "advisor_tool_result", "content": {"type": "advisor_result", "text": "think again"}},
     ("think again", "", False)),
    ({"type": "novel_tool_result", "content": "plain words"}, ("plain words", "", False)),
    ({"type": "novel_tool_result"}, ("", "no output", False)),
    ({"type": "novel_tool_result", "content": {"x": 1}}, ("", "no output", False)),
    ({"type": "novel_tool_result", "content": [None, 7, "a", {"url": 5, "title": []}, {"text": "b"}]},
     ("a\nb", "", False)),
    ({"type": "novel_tool_result", "content": {"error_code": ["x"], "return_code": "1", "stdout": 5, "url": {},
                                              "tool_references": 5}}, ("", "no output", False)),
]  # fmt: skip
