"""A message's `uid`: random, from its birth, and the same in every copy of it.

A message is the same one in its machine's inbox, in a restored backup of that and in the hive. Its number tells less:
it is counted in a file, and given again after a restore.
"""

import os


def new_uid() -> str:
    """Return 128 random bits in hexadecimal digits."""
    return os.urandom(16).hex()  # importing `uuid` for it would cost a client command 7 ms
