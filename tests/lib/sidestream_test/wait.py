"""Waiting for something to become true, with a limit and a name for what did not."""
import time


class Timeout(AssertionError):
    pass


def until(what, fn, timeout=30.0, every=0.02):
    """Calls fn until it returns something true, and returns that."""
    end = time.monotonic() + timeout
    while True:
        got = fn()
        if got:
            return got
        if time.monotonic() > end:
            raise Timeout(f"not within {timeout:g} s: {what}")
        time.sleep(every)
