"""Runs all cases, or those whose name has the first argument in it."""
import faulthandler
import sys

import anthropic_cases  # noqa: F401  (importing registers the cases)
import openai_cases  # noqa: F401
from harness import run_cases

if __name__ == "__main__":
    faulthandler.dump_traceback_later(180, exit=True)
    sys.exit(0 if run_cases(sys.argv[1] if len(sys.argv) > 1 else "") else 1)
