"""The openai package."""
import asyncio
import json
import signal
import time
from types import SimpleNamespace

import openai

from harness import (CALL, CLOCK_TOOL, GREETING, KeyFile, MIDDLE, OK_SCHEMA, Server, THOUGHT, TOLD,
                     WEATHER_PARAMETERS, WEATHER_TOOL, both_ways, case, expect, raises, servers,
                     user)


def client(server, path="/v1", **options):
    return openai.OpenAI(base_url=server.url + path,
                         **{"api_key": "none", "max_retries": 0, **options})


def create(server, path="/v1", **body):
    return client(server, path).chat.completions.create(
        **{"model": "deepseek-chat", "messages": user("Hi"), **body})


def answer(server, stream, path="/v1", **body):
    """An answer, streamed or whole, in one form."""
    if not stream:
        reply = create(server, path, **body)
        choice = reply.choices[0]
        return SimpleNamespace(
            content=choice.message.content,
            reasoning=getattr(choice.message, "reasoning_content", None),
            calls=[(c.id, c.function.name, c.function.arguments)
                   for c in choice.message.tool_calls or []],
            logprobs=choice.logprobs.content if choice.logprobs else [],
            finish=choice.finish_reason, usage=reply.usage)
    all = SimpleNamespace(content="", reasoning=None, calls=[], logprobs=[], finish=None,
                          usage=None)
    for chunk in create(server, path, stream=True, **body):
        choice = chunk.choices[0]
        all.content += choice.delta.content or ""
        if (thought := getattr(choice.delta, "reasoning_content", None)) is not None:
            all.reasoning = (all.reasoning or "") + thought
        for piece in choice.delta.tool_calls or []:
            if piece.index == len(all.calls):
                all.calls.append((piece.id, piece.function.name, ""))
            id, name, arguments = all.calls[piece.index]
            all.calls[piece.index] = (id, name, arguments + piece.function.arguments)
        if choice.logprobs:
            all.logprobs += choice.logprobs.content
        all.finish = choice.finish_reason or all.finish
        all.usage = chunk.usage or all.usage
    return all


@both_ways("openai text")
def text(stream):
    reply = answer(servers["seed"], stream, messages=user("What is 7 + 5?"))
    expect(reply.content, "7 + 5 = 12")
    expect(reply.finish, "stop")
    expect(reply.reasoning, None)
    expect(reply.usage.total_tokens, reply.usage.prompt_tokens + reply.usage.completion_tokens)
    expect(answer(servers["talks"], stream).content, GREETING)


@both_ways("openai thinking")
def thinking(stream):
    on = answer(servers["talks"], stream, extra_body={"thinking": {"type": "enabled"}})
    expect((on.reasoning, on.content), (THOUGHT, GREETING))
    expect(on.usage.completion_tokens_details.reasoning_tokens, 5)
    expect(answer(servers["talks"], stream, model="deepseek-reasoner").reasoning, THOUGHT)
    off = answer(servers["talks"], stream, model="deepseek-reasoner",
                 extra_body={"thinking": {"type": "disabled"}})
    expect((off.reasoning, off.content), (None, GREETING))


@both_ways("openai max_tokens within a thought")
def short_thought(stream):
    reply = answer(servers["talks"], stream, model="deepseek-reasoner", max_tokens=3)
    expect((reply.reasoning, reply.content), ("The user greets me; ", ""))
    expect(reply.finish, "length")


@both_ways("openai tools auto")
def tools(stream):
    for model, thought in (("deepseek-chat", None), ("deepseek-reasoner", "I need the weather.")):
        messages = user("Weather in Paris?")
        ask = {"model": model, "messages": messages, "tools": [WEATHER_TOOL]}
        first = answer(servers["calls"], stream, **ask)
        expect(first.finish, "tool_calls")
        expect(first.reasoning, thought)
        [(id, name, arguments)] = first.calls
        expect((name, arguments), CALL)
        messages += [
            {"role": "assistant", "content": first.content, "reasoning_content": thought or "",
             "tool_calls": [{"id": id, "type": "function",
                             "function": {"name": name, "arguments": arguments}}]},
            {"role": "tool", "tool_call_id": id, "content": "sunny"}]
        second = answer(servers["calls"], stream, **ask)
        expect((second.content, second.finish), (TOLD, "stop"))
    idle = answer(servers["talks"], stream, tools=[WEATHER_TOOL], tool_choice="auto")
    expect((idle.content, idle.calls, idle.finish), (GREETING, [], "stop"))


@both_ways("openai tools required, named and none")
def tool_choices(stream):
    both = [CLOCK_TOOL, WEATHER_TOOL]
    named = {"type": "function", "function": {"name": CALL[0]}}
    for model, thought in (("deepseek-chat", None), ("deepseek-reasoner", THOUGHT)):
        for more in ({"tools": [WEATHER_TOOL], "tool_choice": "required"},
                     {"tools": both, "tool_choice": named}):
            reply = answer(servers["talks"], stream, model=model, **more)
            expect((reply.finish, reply.content, reply.reasoning), ("tool_calls", "", thought))
            [(_, name, arguments)] = reply.calls
            expect((name, json.loads(arguments)), (CALL[0], {"city": "Paris"}))
        none = answer(servers["calls"], stream, model=model, tools=both, tool_choice="none")
        expect((none.content, none.calls, none.finish), ("I may not look.", [], "stop"))


@both_ways("openai json_schema and strict tools")
def schemas(stream):
    form = {"type": "json_schema", "json_schema": {"name": "ok", "schema": OK_SCHEMA}}
    for model in ("deepseek-chat", "deepseek-reasoner"):
        reply = answer(servers["talks"], stream, model=model, response_format=form)
        expect((json.loads(reply.content), reply.finish), ({"ok": True}, "stop"))
    rome = {**WEATHER_TOOL["function"], "strict": True, "parameters": {
        **WEATHER_PARAMETERS, "properties": {"city": {"enum": ["Rome"]}}}}
    reply = answer(servers["calls"], stream, "/beta",
                   tools=[{"type": "function", "function": rome}])
    expect(json.loads(reply.calls[0][2]), {"city": "Rome"})


@both_ways("openai prefix")
def prefix(stream):
    messages = user("What is it?") + [
        {"role": "assistant", "content": "The answer:", "prefix": True}]
    expect(answer(servers["talks"], stream, "/beta", messages=messages).content, " forty-two.")


@both_ways("openai json_object and a grammar")
def json_object(stream):
    reply = answer(servers["talks"], stream, response_format={"type": "json_object"})
    expect((json.loads(reply.content), reply.finish), ({"ok": True}, "stop"))
    word = answer(servers["seed"], stream, extra_body={"grammar": 'root ::= "yes" | "no"'})
    assert word.content in ("yes", "no"), word.content


@both_ways("openai stop string across tokens")
def stop(stream):
    reply = answer(servers["talks"], stream, stop=["o, world", "never"])
    expect((reply.content, reply.finish), ("Hell", "stop"))
    expect(answer(servers["talks"], stream, stop="界").content, "Hello, world! 你好世")


@both_ways("openai logprobs")
def logprobs(stream):
    reply = answer(servers["talks"], stream, logprobs=True, top_logprobs=2)
    expect(bytes(b for item in reply.logprobs for b in item.bytes).decode(), GREETING)
    for item in reply.logprobs:
        assert -0.1 < item.logprob <= 0, item
        expect(len(item.top_logprobs), 2)
        expect(item.top_logprobs[0].token, item.token)


@both_ways("openai completions and FIM")
def completions(stream):
    def complete(**body):
        reply = client(servers["talks"], "/beta").completions.create(
            model="deepseek-chat", stream=stream, **body)
        chunks = list(reply) if stream else [reply]
        return ("".join(chunk.choices[0].text for chunk in chunks),
                chunks[-1].choices[0].finish_reason)
    expect(complete(prompt="The answer:"), (" forty-two.", "stop"))
    hole = {"prompt": "def add(a, b):\n", "suffix": "\nprint(add(1, 2))"}
    expect(complete(**hole), (MIDDLE, "stop"))
    expect(complete(**hole, stop="n a +"), ("    retur", "stop"))
    expect(complete(**hole, max_tokens=2), ("    return a + ", "length"))


@both_ways("openai n = 2 with a seed")
def choices(stream):
    def ask():
        reply = create(servers["seed"], messages=user("Tell me a story."), n=2, seed=7,
                       temperature=1, max_tokens=12, stream=stream)
        texts = ["", ""]
        for chunk in reply if stream else [reply]:
            for choice in chunk.choices:
                part = choice.delta if stream else choice.message
                texts[choice.index] += part.content or ""
        return texts
    texts = ask()
    assert texts[0] != texts[1] and all(texts), texts
    expect(ask(), texts)


@case("openai stream helper gathers content and calls")
def helper():
    body = {"model": "deepseek-chat", "messages": user("Weather?")}
    with client(servers["calls"]).chat.completions.stream(tools=[WEATHER_TOOL], **body) as stream:
        [made] = stream.get_final_completion().choices[0].message.tool_calls
    expect((made.function.name, made.function.arguments), CALL)
    with client(servers["talks"]).chat.completions.stream(**body) as stream:
        pieces = [event.delta for event in stream if event.type == "content.delta"]
    expect("".join(pieces), GREETING)


@case("openai asynchronous client, many at once")
def concurrent():
    async def all():
        async with openai.AsyncOpenAI(base_url=servers["talks"].url + "/v1", api_key="none",
                                      max_retries=0) as several:
            async def ask():
                text = ""
                async for chunk in await several.chat.completions.create(
                        model="deepseek-chat", messages=user("Hi"), stream=True):
                    text += chunk.choices[0].delta.content or ""
                return text
            return await asyncio.gather(*(ask() for _ in range(16)))
    expect(asyncio.run(all()), [GREETING] * 16)


@case("openai models and embeddings")
def models():
    names = [model.id for model in client(servers["seed"]).models.list()]
    assert "deepseek-chat" in names, names
    # The package asks for base64 when nothing is said.
    data = client(servers["seed"]).embeddings.create(model="deepseek-chat",
                                                     input=["a cat", "seven"]).data
    expect(len(data), 2)
    square = sum(x * x for x in data[1].embedding)
    assert abs(square - 1) < 1e-4, square


@case("openai 400 and 422 name what is wrong")
def refusals():
    seed = servers["seed"]
    unknown = raises(openai.BadRequestError, lambda: create(seed, model="other"))
    expect(unknown.code, "model_not_found")
    longer = raises(openai.BadRequestError, lambda: create(seed, messages=user("word " * 3000)))
    expect(longer.code, "context_length_exceeded")
    wrong = raises(openai.UnprocessableEntityError, lambda: create(seed, top_p=2))
    expect(wrong.param, "top_p")
    assert wrong.request_id.startswith("req_"), wrong.request_id


@case("openai 401, 402 and 429 by key")
def keys():
    file = KeyFile("openai")
    broke, slow = file.create("broke", "--tokens", "5"), file.create("slow", "--rpm", "1")
    with Server("talks", "--keys", file.path) as server:
        def ask(key):
            return client(server, api_key=key).chat.completions.create(
                model="deepseek-chat", messages=user("Hi"))
        wrong = raises(openai.AuthenticationError, lambda: ask("wrong"))
        expect(wrong.type, "authentication_error")
        ask(broke)
        expect(raises(openai.APIStatusError, lambda: ask(broke)).status_code, 402)
        ask(slow)
        late = raises(openai.RateLimitError, lambda: ask(slow))
        assert int(late.response.headers["retry-after"]) >= 1


@case("openai an abandoned stream stops its work")
def abandoned():
    stream = client(servers["talks"], "/beta").completions.create(
        model="deepseek-chat", prompt="sing", stream=True)
    for _, chunk in zip(range(3), stream):
        expect(chunk.choices[0].text[:3], "la ")
    stream.close()
    servers["talks"].metric_becomes("hadal_running", 0)


@case("openai a drained server ends its streams and takes no more")
def drained():
    with Server("talks") as server:
        stream = client(server, "/beta").completions.create(
            model="deepseek-chat", prompt="sing", stream=True)
        next(stream)
        server.process.send_signal(signal.SIGTERM)
        while server.status("/readyz") != 503:
            time.sleep(0.01)
        refused = raises(openai.InternalServerError, lambda: create(server))
        expect(refused.status_code, 503)
        server.process.send_signal(signal.SIGTERM)  # the second one ends what runs
        finish = [chunk.choices[0].finish_reason for chunk in stream][-1]
        expect(finish, "insufficient_system_resource")
        expect(server.process.wait(10), 0)


@case("openai fields of our own reach the server")
def extensions():
    reply = create(servers["talks"], extra_body={"x_hadal": {"receipt": True, "cost": True},
                                                 "chat_template_kwargs": {"thinking": True}})
    expect(reply.choices[0].message.reasoning_content, THOUGHT)
    receipt = json.loads(json.dumps(reply.x_hadal))
    assert receipt["receipt"] and receipt["cost"]["cpu_s"] > 0, receipt
