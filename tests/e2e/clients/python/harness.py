"""Cases, and the servers that they are run against."""
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import traceback
import urllib.error
import urllib.request

_BINARY = os.environ["HADAL_BINARY"]
_MODELS = {
    "seed": os.environ["HADAL_SEED_MODEL"],
    "talks": os.path.join(os.environ["HADAL_SCRIPTED_MODELS"], "talks.gguf"),
    "calls": os.path.join(os.environ["HADAL_SCRIPTED_MODELS"], "calls.gguf"),
}
_HOME = tempfile.mkdtemp(prefix="hadal-clients-")
_ENVIRONMENT = {**os.environ, "HOME": _HOME, "XDG_DATA_HOME": _HOME, "XDG_CONFIG_HOME": _HOME}

# What tests/e2e/scripted_model.h lets its models say.
THOUGHT = "The user greets me; I greet back."
GREETING = "Hello, world! 你好世界 🌍 Bye"
MIDDLE = "    return a + b\n"
CALL = ("get_weather", '{"city": "Paris"}')
TOLD = "It is sunny in Paris"

WEATHER_PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER_TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "description": "The weather now",
                 "parameters": WEATHER_PARAMETERS},
}

CLOCK_TOOL = {"type": "function", "function": {"name": "clock", "description": "The time"}}
OK_SCHEMA = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"],
             "additionalProperties": False}


def user(text):
    return [{"role": "user", "content": text}]


class Server:
    """`hadal serve` on a free port, ready."""

    running = []

    def __init__(self, model, *flags):
        self.process = subprocess.Popen(
            [_BINARY, "serve", _MODELS[model], "--port", "0", "--access-log", "", *flags],
            env=_ENVIRONMENT, stderr=subprocess.PIPE, text=True)
        Server.running.append(self)
        line = ""
        while not (found := re.search(r"listening on (\S+)\n", line)):
            line = self.process.stderr.readline()
            assert line, f"hadal serve left with {self.process.wait()}"
        self.url = found[1]
        while self.status("/readyz") != 200:
            time.sleep(0.02)

    def status(self, path):
        try:
            return urllib.request.urlopen(self.url + path, timeout=10).status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:  # a connection may be closed while it is asked: only answers count
            return None

    def metric_becomes(self, name, value):
        for _ in range(250):
            text = urllib.request.urlopen(self.url + "/metrics", timeout=10).read().decode()
            now = float(re.search(rf"^{name} (.*)$", text, re.M)[1])
            if now == value:
                return
            time.sleep(0.02)
        raise AssertionError(f"{name} is {now}, expected {value}")

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class KeyFile:
    """A file of keys, for `Server(model, "--keys", keys.path)`."""

    def __init__(self, name):
        self.path = os.path.join(_HOME, name + ".json")

    def create(self, name, *limits):
        made = subprocess.run([_BINARY, "key", "create", name, "--keys", self.path, *limits],
                              env=_ENVIRONMENT, check=True, capture_output=True, text=True)
        return made.stdout.strip()


_cases = []
servers = {}


def case(name, **options):
    """Registers a function as a case of that name; options are its arguments."""
    def register(function):
        _cases.append((name, lambda: function(**options)))
        return function
    return register


def both_ways(name):
    """Registers a function of `stream` as two cases."""
    def register(function):
        for stream in (False, True):
            case(f"{name}, {'streamed' if stream else 'whole'}", stream=stream)(function)
        return function
    return register


def expect(actual, expected):
    assert actual == expected, f"{actual!r}, expected {expected!r}"


def raises(kind, function):
    """The error of that kind that the function raises."""
    try:
        function()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def run_cases(part):
    """Runs the cases with the part in their names; whether all passed."""
    passed = failed = 0
    try:
        for name in _MODELS:
            servers[name] = Server(name)
        for name, run in _cases:
            if part not in name:
                continue
            start = time.monotonic()
            try:
                run()
                verdict, passed = "ok    ", passed + 1
            except Exception:  # a case may fail in any way
                verdict, failed = "FAILED", failed + 1
                traceback.print_exc()
            print(f"{verdict} {name} ({(time.monotonic() - start) * 1000:.0f} ms)", flush=True)
    finally:
        for server in Server.running:
            if server.process.poll() is None:
                server.stop()
        shutil.rmtree(_HOME, ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    return failed == 0 and passed > 0


def parsed(text):
    return json.loads(text)
