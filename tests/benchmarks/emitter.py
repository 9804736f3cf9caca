"""A claude that writes a file to its stdout: `emitter.py FILE [ARGUMENTS OF CLAUDE…]`, standard library alone.

It shakes hands as claude-agent-sdk wants it, and becomes `cat` then, so that it costs next to nothing itself.
"""

import json
import os
import sys


def main() -> None:
    """Read the prompt, then write the file."""
    path, *arguments = sys.argv[1:]
    if "--input-format" in arguments:
        request = json.loads(sys.stdin.readline())
        answer = {"subtype": "success", "request_id": request["request_id"], "response": {"commands": []}}
        print(json.dumps({"type": "control_response", "response": answer}), flush=True)
        sys.stdin.readline()
    else:
        sys.stdin.read()
    os.execvp("cat", ["cat", path])  # noqa: S606 - a program, not a shell


if __name__ == "__main__":
    main()
