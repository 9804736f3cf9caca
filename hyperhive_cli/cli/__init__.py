"""The command line: the only home of `click`."""

import gc

# A command's modules make tens of thousands of objects that all stay. To look through them for garbage time and
# again, here and when the process ends (see `main`), took a sixth of a short command's time.
gc.set_threshold(50_000)
