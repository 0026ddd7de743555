// The openai package.
import assert from 'node:assert/strict';
import OpenAI, {APIError, AuthenticationError, BadRequestError, InternalServerError,
                RateLimitError, UnprocessableEntityError} from 'openai';
import {call, greeting, keyFile, middle, serve, stop, test, thought, told, user,
        weatherParameters, weatherTool, clockTool, okSchema} from './harness.mjs';

const client = (server, path = '/v1', options = {}) =>
    new OpenAI({baseURL: server.url + path, apiKey: 'none', maxRetries: 0, ...options});
const create = (server, body, path) => client(server, path).chat.completions.create(
    {model: 'deepseek-chat', messages: user('Hi'), ...body});

// A dialogue's answer, streamed or whole, in one form.
async function answer(server, body, stream, path) {
  if (!stream) {
    const reply = await create(server, body, path);
    const [{message, finish_reason, logprobs}] = reply.choices;
    return {content: message.content, reasoning: message.reasoning_content,
            calls: message.tool_calls, finish: finish_reason, logprobs: logprobs?.content,
            usage: reply.usage};
  }
  const all = {content: '', reasoning: undefined, calls: undefined, logprobs: undefined};
  for await (const chunk of await create(server, {...body, stream: true}, path)) {
    const [{delta, finish_reason, logprobs}] = chunk.choices;
    all.content += delta.content ?? '';
    if (typeof delta.reasoning_content === 'string')
      all.reasoning = (all.reasoning ?? '') + delta.reasoning_content;
    for (const piece of delta.tool_calls ?? []) {
      all.calls ??= [];
      const known = all.calls[piece.index] ??=
          {id: piece.id, type: piece.type, function: {name: piece.function.name, arguments: ''}};
      known.function.arguments += piece.function.arguments;
    }
    if (logprobs) all.logprobs = [...all.logprobs ?? [], ...logprobs.content];
    if (finish_reason) all.finish = finish_reason;
    if (chunk.usage) all.usage = chunk.usage;
  }
  return all;
}

for (const stream of [false, true]) {
  const way = stream ? 'streamed' : 'whole';

  test(`openai text, ${way}`, async () => {
    const reply = await answer(servers.seed, {messages: user('What is 7 + 5?')}, stream);
    assert.equal(reply.content, '7 + 5 = 12');
    assert.equal(reply.finish, 'stop');
    assert.equal(reply.reasoning, undefined);
    assert.equal(reply.usage.total_tokens,
                 reply.usage.prompt_tokens + reply.usage.completion_tokens);
  });

  test(`openai characters split between tokens, ${way}`, async () => {
    const reply = await answer(servers.talks, {}, stream);
    assert.equal(reply.content, greeting);
    assert.equal(reply.finish, 'stop');
  });

  test(`openai thinking on by field, off by field, on by name, ${way}`, async () => {
    const on = await answer(servers.talks, {thinking: {type: 'enabled'}}, stream);
    assert.equal(on.reasoning, thought);
    assert.equal(on.content, greeting);
    assert.equal(on.usage.completion_tokens_details.reasoning_tokens, 5);
    const named = await answer(servers.talks, {model: 'deepseek-reasoner'}, stream);
    assert.equal(named.reasoning, thought);
    const off = await answer(
        servers.talks, {model: 'deepseek-reasoner', thinking: {type: 'disabled'}}, stream);
    assert.equal(off.reasoning, undefined);
    assert.equal(off.content, greeting);
  });

  test(`openai max_tokens within a thought, ${way}`, async () => {
    const body = {model: 'deepseek-reasoner', max_tokens: 3};
    const reply = await answer(servers.talks, body, stream);
    assert.equal(reply.reasoning, 'The user greets me; ');
    assert.equal(reply.content, '');
    assert.equal(reply.finish, 'length');
    assert.equal(reply.usage.completion_tokens, 3);
  });

  for (const thinking of [false, true]) {
    const model = thinking ? 'deepseek-reasoner' : 'deepseek-chat';
    test(`openai tools auto${thinking ? ', thinking' : ''}, ${way}`, async () => {
      const messages = user('Weather in Paris?');
      const first = await answer(servers.calls, {model, messages, tools: [weatherTool]}, stream);
      assert.equal(first.finish, 'tool_calls');
      assert.equal(first.calls.length, 1);
      assert.deepEqual(first.calls[0].function, call);
      assert.equal(first.calls[0].type, 'function');
      assert.match(first.calls[0].id, /^call_/);
      assert.equal(first.reasoning, thinking ? 'I need the weather.' : undefined);
      messages.push({role: 'assistant', content: first.content, tool_calls: first.calls,
                     reasoning_content: first.reasoning},
                    {role: 'tool', tool_call_id: first.calls[0].id, content: 'sunny'});
      const second = await answer(servers.calls, {model, messages, tools: [weatherTool]}, stream);
      assert.equal(second.content, told);
      assert.equal(second.finish, 'stop');
    });
  }

  test(`openai tools offered and not needed, ${way}`, async () => {
    const reply = await answer(servers.talks, {tools: [weatherTool], tool_choice: 'auto'}, stream);
    assert.equal(reply.content, greeting);
    assert.equal(reply.calls, undefined);
    assert.equal(reply.finish, 'stop');
  });

  for (const model of ['deepseek-chat', 'deepseek-reasoner']) {
    const reasoning = model === 'deepseek-reasoner' ? thought : undefined;
    const tools = [clockTool, weatherTool];

    test(`openai tools required and named, ${model}, ${way}`, async () => {
      const name = call.name;
      for (const body of [{tools: [weatherTool], tool_choice: 'required'},
                          {tools, tool_choice: {type: 'function', function: {name}}}]) {
        const reply = await answer(servers.talks, {model, ...body}, stream);
        assert.equal(reply.finish, 'tool_calls');
        assert.equal(reply.content, '');
        assert.equal(reply.reasoning, reasoning);
        assert.equal(reply.calls.length, 1);
        assert.equal(reply.calls[0].function.name, name);
        assert.deepEqual(JSON.parse(reply.calls[0].function.arguments), {city: 'Paris'});
      }
      const named = {type: 'function', function: {name: 'clock'}};
      const clock = await answer(servers.calls, {model, tools, tool_choice: named}, stream);
      assert.deepEqual(clock.calls.map(({function: {name}}) => name), ['clock']);
    });

    test(`openai tools none, ${model}, ${way}`, async () => {
      const reply = await answer(servers.calls, {model, tools, tool_choice: 'none'}, stream);
      assert.equal(reply.calls, undefined);
      assert.equal(reply.content, 'I may not look.');
      assert.equal(reply.finish, 'stop');
      const talk = await answer(servers.talks, {model, tools, tool_choice: 'none'}, stream);
      assert.equal(talk.content, greeting);
    });

    test(`openai json_schema, ${model}, ${way}`, async () => {
      const response_format = {type: 'json_schema', json_schema: {name: 'ok', schema: okSchema,
                                                                  strict: true}};
      const reply = await answer(servers.talks, {model, response_format}, stream);
      assert.deepEqual(JSON.parse(reply.content), {ok: true});
      assert.equal(reply.reasoning, reasoning);
      // With tools, too: the model chooses.
      const called = await answer(servers.calls, {model, response_format, tools}, stream);
      assert.deepEqual(called.calls[0].function, call);
    });
  }

  test(`openai strict tools, ${way}`, async () => {
    const strict = {type: 'function', function: {...weatherTool.function, strict: true}};
    const reply = await answer(servers.calls, {tools: [strict]}, stream, '/beta');
    assert.deepEqual(reply.calls[0].function, call);
    // What the model would say is not what the schema allows.
    const parameters = {...weatherParameters, properties: {city: {enum: ['Rome']}}};
    const rome = {type: 'function', function: {...strict.function, parameters}};
    const other = await answer(servers.calls, {tools: [rome]}, stream, '/beta');
    assert.deepEqual(JSON.parse(other.calls[0].function.arguments), {city: 'Rome'});
    const bad = {type: 'function', function: {...strict.function, parameters: {type: 'array'}}};
    await assert.rejects(answer(servers.calls, {tools: [bad]}, stream), error =>
        error instanceof BadRequestError &&
        error.param === 'tools[0].function.parameters#/type');
  });

  test(`openai prefix, ${way}`, async () => {
    const messages = [...user('What is it?'),
                      {role: 'assistant', content: 'The answer:', prefix: true}];
    const reply = await answer(servers.talks, {messages}, stream, '/beta');
    assert.equal(reply.content, ' forty-two.');
  });

  test(`openai json_object and a grammar, ${way}`, async () => {
    const response_format = {type: 'json_object'};
    const json = await answer(servers.talks, {response_format}, stream);
    assert.deepEqual(JSON.parse(json.content), {ok: true});
    assert.equal(json.finish, 'stop');
    const thinks = await answer(
        servers.talks, {response_format, model: 'deepseek-reasoner'}, stream);
    assert.equal(thinks.reasoning, thought);
    assert.deepEqual(JSON.parse(thinks.content), {ok: true});
    const word = await answer(servers.seed, {grammar: 'root ::= "yes" | "no"'}, stream);
    assert.match(word.content, /^(yes|no)$/);
    await assert.rejects(answer(servers.talks, {grammar: 'root ::= ('}, stream), error =>
        error instanceof BadRequestError && error.param === 'grammar');
  });

  test(`openai stop string across tokens, ${way}`, async () => {
    const reply = await answer(servers.talks, {stop: ['o, world', 'never']}, stream);
    assert.equal(reply.content, 'Hell');
    assert.equal(reply.finish, 'stop');
    const split = await answer(servers.talks, {stop: '界'}, stream);
    assert.equal(split.content, 'Hello, world! 你好世');
  });

  test(`openai logprobs, ${way}`, async () => {
    const reply = await answer(servers.talks, {logprobs: true, top_logprobs: 2}, stream);
    const bytes = reply.logprobs.flatMap(item => item.bytes);
    assert.equal(Buffer.from(bytes).toString('utf8'), greeting);
    for (const item of reply.logprobs) {
      assert(item.logprob <= 0 && item.logprob > -0.1, `${item.logprob}`);
      assert.equal(item.top_logprobs.length, 2);
      assert.deepEqual(item.top_logprobs[0].bytes, item.bytes);
      assert(item.top_logprobs[1].logprob < item.logprob);
    }
  });

  test(`openai completions and FIM, ${way}`, async () => {
    const complete = async body => {
      const all = {model: 'deepseek-chat', ...body, stream};
      const reply = await client(servers.talks, '/beta').completions.create(all);
      if (!stream) return reply.choices[0];
      let text = '', last;
      for await (const chunk of reply) {
        text += chunk.choices[0].text;
        last = chunk.choices[0];
      }
      return {...last, text};
    };
    const plain = await complete({prompt: 'The answer:'});
    assert.equal(plain.text, ' forty-two.');
    assert.equal(plain.finish_reason, 'stop');
    const fim = await complete({prompt: 'def add(a, b):\n', suffix: '\nprint(add(1, 2))'});
    assert.equal(fim.text, middle);
    assert.equal(fim.finish_reason, 'stop');
    const stopped = await complete({prompt: 'def', suffix: 'end', stop: 'n a +', max_tokens: 20});
    assert.equal(stopped.text, '    retur');
    const short = await complete({prompt: 'def', suffix: 'end', max_tokens: 2});
    assert.equal(short.text, '    return a + ');
    assert.equal(short.finish_reason, 'length');
  });

  test(`openai n = 2 with a seed, ${way}`, async () => {
    const ask = async () => {
      const body = {messages: user('Tell me a story.'), n: 2, seed: 7, temperature: 1,
                    max_tokens: 12, stream};
      const reply = await create(servers.seed, body);
      if (!stream) return reply.choices.map(choice => choice.message.content);
      const texts = ['', ''];
      for await (const chunk of reply)
        for (const choice of chunk.choices) texts[choice.index] += choice.delta.content ?? '';
      return texts;
    };
    const texts = await ask();
    assert.notEqual(texts[0], texts[1]);
    assert(texts[0].length > 0 && texts[1].length > 0);
    assert.deepEqual(await ask(), texts);
  });
}

test('openai stream helper gathers content and calls', async () => {
  const body = {model: 'deepseek-chat', messages: user('Weather?'), tools: [weatherTool]};
  const called = await client(servers.calls).chat.completions.stream(body).finalChatCompletion();
  assert.deepEqual({...called.choices[0].message.tool_calls[0].function}, call);
  const pieces = [];
  const talk = client(servers.talks).chat.completions.stream({...body, tools: undefined});
  talk.on('content', piece => pieces.push(piece));
  assert.equal(await talk.finalContent(), greeting);
  assert.equal(pieces.join(''), greeting);
  assert((await talk.totalUsage()).completion_tokens > 10);
});

test('openai tool runner answers its own calls', async () => {
  const asked = [];
  const tool = {...weatherTool, function: {...weatherTool.function, parse: JSON.parse,
                                           function: ({city}) => (asked.push(city), 'sunny')}};
  const runner = client(servers.calls).chat.completions.runTools(
      {model: 'deepseek-chat', messages: user('Weather?'), tools: [tool]});
  assert.equal(await runner.finalContent(), told);
  assert.deepEqual(asked, ['Paris']);
});

test('openai include_usage of a strict stream comes in a chunk of its own', async () => {
  const server = await serve('talks', '--openai-strict-stream');
  const chunks = [];
  for await (const chunk of await create(
           server, {stream: true, stream_options: {include_usage: true}}))
    chunks.push(chunk);
  assert.deepEqual(chunks.at(-1).choices, []);
  assert(chunks.at(-1).usage.total_tokens > 0);
  await stop(server);
});

test('openai models and embeddings', async () => {
  const names = [];
  for await (const model of client(servers.seed).models.list()) names.push(model.id);
  assert(names.includes('deepseek-chat'));
  assert.equal((await client(servers.seed).models.retrieve('deepseek-chat')).id, 'deepseek-chat');
  const {data} = await client(servers.seed).embeddings.create(
      {model: 'deepseek-chat', input: ['a cat', 'seven']});
  assert.equal(data.length, 2);
  const square = data[1].embedding.reduce((sum, x) => sum + x * x, 0);
  assert(Math.abs(square - 1) < 1e-4, `${square}`);
});

test('openai 400 and 422 name what is wrong', async () => {
  await assert.rejects(create(servers.seed, {model: 'other'}), error =>
      error instanceof BadRequestError && error.code === 'model_not_found');
  await assert.rejects(create(servers.seed, {messages: user('word '.repeat(3000))}), error =>
      error instanceof BadRequestError && error.code === 'context_length_exceeded' &&
      /1024/.test(error.message));
  await assert.rejects(create(servers.seed, {top_p: 2}), error =>
      error instanceof UnprocessableEntityError && error.param === 'top_p' &&
      error.requestID.startsWith('req_'));
});

test('openai 401, 402 and 429 by key, 429 tried again', async () => {
  const keys = keyFile('openai');
  const broke = await keys.create('broke', '--tokens', '5');
  const slow = await keys.create('slow', '--rpm', '60');
  const server = await serve('talks', '--keys', keys.path);
  const ask = (apiKey, options = {}) => client(server, '/v1', {apiKey, ...options})
      .chat.completions.create({model: 'deepseek-chat', messages: user('Hi')});
  await assert.rejects(ask('wrong'), error =>
      error instanceof AuthenticationError && error.type === 'authentication_error');
  await ask(broke);
  await assert.rejects(ask(broke), error =>
      error instanceof APIError && error.status === 402 && /Balance/.test(error.message));
  let refused = null;
  for (let i = 0; i < 300 && !refused; ++i) await ask(slow).catch(error => refused = error);
  assert(refused instanceof RateLimitError, `${refused}`);
  assert(Number(refused.headers.get('retry-after')) >= 1);
  // Retry-After is kept to, and the second attempt gets through.
  const start = performance.now();
  const reply = await ask(slow, {maxRetries: 2});
  assert.equal(reply.choices[0].message.content, greeting);
  assert(performance.now() - start > 500);
  await stop(server);
});

test('openai 429 when the queue is full', async () => {
  const server = await serve('talks', '--queue', '1');
  const first = await create(server, {messages: user('la'), stream: true, model: 'deepseek-chat',
                                      ignore_eos: true});
  await assert.rejects(create(server, {}), error => error instanceof RateLimitError);
  first.controller.abort();
  await server.metricBecomes('hadal_running', 0);
  assert.equal((await create(server, {})).choices[0].message.content, greeting);
  await stop(server);
});

test('openai an abandoned stream stops its work', async () => {
  const stream = await client(servers.talks, '/beta').completions.create(
      {model: 'deepseek-chat', prompt: 'sing', stream: true});
  let text = '';
  for await (const chunk of stream) {
    text += chunk.choices[0].text;
    if (text.length > 30) break;
  }
  assert(text.startsWith('la la la '), text);
  await servers.talks.metricBecomes('hadal_running', 0);
  const controller = new AbortController();
  const whole = client(servers.talks, '/beta').completions.create(
      {model: 'deepseek-chat', prompt: 'sing'}, {signal: controller.signal});
  await servers.talks.metricBecomes('hadal_running', 1);
  controller.abort();
  await assert.rejects(whole, OpenAI.APIUserAbortError);
  await servers.talks.metricBecomes('hadal_running', 0);
});

test('openai a drained server ends its streams and takes no more', async () => {
  const server = await serve('talks');
  const stream = await client(server, '/beta').completions.create(
      {model: 'deepseek-chat', prompt: 'sing', stream: true});
  let finish = null, refused = null;
  for await (const chunk of stream) {
    finish = chunk.choices[0].finish_reason ?? finish;
    if (refused) continue;
    server.child.kill('SIGTERM');
    // A connection that was kept may be closed while it is asked: only the answers count.
    while ((await fetch(`${server.url}/readyz`).catch(() => ({}))).status !== 503)
      await new Promise(resolve => setTimeout(resolve, 10));
    refused = await create(server, {}).catch(error => error);
    server.child.kill('SIGTERM'); // the second one ends what runs
  }
  assert(refused instanceof InternalServerError && refused.status === 503, `${refused}`);
  assert(Number(refused.headers.get('retry-after')) >= 1);
  assert.equal(finish, 'insufficient_system_resource');
  assert.equal(await server.exited, 0);
});
