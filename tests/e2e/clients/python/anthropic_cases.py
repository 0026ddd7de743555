"""The anthropic package."""
import signal

import anthropic

from harness import (CALL, GREETING, KeyFile, Server, THOUGHT, TOLD, WEATHER_PARAMETERS, both_ways,
                     case, expect, parsed, raises, servers, user)

WEATHER = {"name": CALL[0], "description": "The weather now", "input_schema": WEATHER_PARAMETERS}
THINKING = {"type": "enabled", "budget_tokens": 1024}


def client(server, **options):
    return anthropic.Anthropic(base_url=server.url + "/anthropic",
                               **{"api_key": "none", "max_retries": 0, **options})


def body(more):
    return {"model": "deepseek-chat", "max_tokens": 2048, "messages": user("Hi"), **more}


def answer(server, stream, **more):
    """A message, put together by the package's own helper when it is streamed."""
    if not stream:
        return client(server).messages.create(**body(more))
    with client(server).messages.stream(**body(more)) as events:
        return events.get_final_message()


def blocks(message):
    return [block.type for block in message.content]


@both_ways("anthropic text")
def text(stream):
    reply = answer(servers["seed"], stream, messages=user("What is 7 + 5?"))
    expect(reply.content[0].text, "7 + 5 = 12")
    expect(reply.stop_reason, "end_turn")
    assert reply.usage.output_tokens > 0
    expect(answer(servers["talks"], stream, system="Be brief.").content[0].text, GREETING)


@both_ways("anthropic thinking")
def thinking(stream):
    reply = answer(servers["talks"], stream, thinking=THINKING)
    expect(blocks(reply), ["thinking", "text"])
    expect(reply.content[0].thinking, THOUGHT)
    expect(reply.content[1].text, GREETING)
    short = answer(servers["talks"], stream, thinking=THINKING, max_tokens=3)
    expect((blocks(short), short.stop_reason), (["thinking"], "max_tokens"))


@both_ways("anthropic tools auto")
def tools(stream):
    for more in ({}, {"thinking": THINKING}):
        messages = user("Weather?")
        ask = {"messages": messages, "tools": [WEATHER], **more}
        first = answer(servers["calls"], stream, **ask)
        expect(first.stop_reason, "tool_use")
        use = first.content[-1]
        expect((use.name, use.input), (CALL[0], parsed(CALL[1])))
        messages += [{"role": "assistant", "content": first.content},
                     {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id,
                                                   "content": "sunny"}]}]
        expect(answer(servers["calls"], stream, **ask).content[0].text, TOLD)


@both_ways("anthropic tools any, by name and none")
def tool_choices(stream):
    both = [{"name": "clock", "input_schema": {"type": "object"}}, WEATHER]
    for more in ({}, {"thinking": THINKING}):
        for choice, tools in (({"type": "any"}, [WEATHER]),
                              ({"type": "tool", "name": CALL[0]}, both)):
            reply = answer(servers["talks"], stream, tools=tools, tool_choice=choice, **more)
            use = reply.content[-1]
            expect((reply.stop_reason, use.name, use.input),
                   ("tool_use", CALL[0], {"city": "Paris"}))
        none = answer(servers["talks"], stream, tools=both, tool_choice={"type": "none"}, **more)
        expect(none.content[-1].text, GREETING)


@both_ways("anthropic prefix and stop sequences")
def prefix(stream):
    messages = user("What is it?") + [{"role": "assistant", "content": "The answer:"}]
    expect(answer(servers["talks"], stream, messages=messages).content[0].text, " forty-two.")
    cut = answer(servers["talks"], stream, stop_sequences=["never", "o, wor"])
    expect((cut.content[0].text, cut.stop_reason, cut.stop_sequence),
           ("Hell", "stop_sequence", "o, wor"))


@case("anthropic tokens are counted")
def count():
    counted = client(servers["talks"]).messages.count_tokens(model="deepseek-chat",
                                                             messages=user("Hi"))
    expect(counted.input_tokens, 6)


@case("anthropic 400, 401, 402, 422 and 429")
def errors():
    seed = servers["seed"]
    raises(anthropic.BadRequestError, lambda: answer(seed, False, messages=user("word " * 3000)))
    raises(anthropic.UnprocessableEntityError, lambda: answer(seed, False, max_tokens=0))
    file = KeyFile("anthropic")
    broke, slow = file.create("broke", "--tokens", "5"), file.create("slow", "--rpm", "1")
    with Server("talks", "--keys", file.path) as server:
        def ask(**options):
            return client(server, **options).messages.create(**body({}))
        wrong = raises(anthropic.AuthenticationError, lambda: ask(api_key="wrong"))
        expect(wrong.body["error"]["type"], "authentication_error")
        ask(api_key=None, auth_token=broke)  # as Authorization: Bearer
        expect(raises(anthropic.APIStatusError, lambda: ask(api_key=broke)).status_code, 402)
        ask(api_key=slow)
        late = raises(anthropic.RateLimitError, lambda: ask(api_key=slow))
        assert int(late.response.headers["retry-after"]) >= 1


@case("anthropic an abandoned stream stops its work, a drained server tells its end")
def ends():
    messages = user("Sing") + [{"role": "assistant", "content": "la"}]
    more = body({"messages": messages, "max_tokens": 30000})
    with client(servers["talks"]).messages.stream(**more) as stream:
        expect(next(iter(stream.text_stream))[:3], "la ")
    servers["talks"].metric_becomes("hadal_running", 0)
    with Server("talks", "--drain", "0") as server:
        with client(server).messages.stream(**more) as stream:
            pieces = iter(stream.text_stream)
            next(pieces)
            server.process.send_signal(signal.SIGTERM)
            raises(anthropic.APIError, lambda: list(pieces))
        expect(server.process.wait(10), 0)
