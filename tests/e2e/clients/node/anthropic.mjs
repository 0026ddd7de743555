// The @anthropic-ai/sdk package.
import assert from 'node:assert/strict';
import Anthropic, {APIError, AuthenticationError, BadRequestError, RateLimitError,
                   UnprocessableEntityError} from '@anthropic-ai/sdk';
import {call, greeting, keyFile, serve, stop, test, thought, told, user,
        weatherParameters} from './harness.mjs';

const client = (server, options = {}) => new Anthropic(
    {baseURL: `${server.url}/anthropic`, apiKey: 'none', maxRetries: 0, ...options});
const weather = {name: call.name, description: 'The weather now', input_schema: weatherParameters};
const thinking = {type: 'enabled', budget_tokens: 1024};
const body = more => ({model: 'deepseek-chat', max_tokens: 2048, messages: user('Hi'), ...more});

// A message, put together by the library's own helper when it is streamed.
async function answer(server, more, stream) {
  if (!stream) return client(server).messages.create(body(more));
  return client(server).messages.stream(body(more)).finalMessage();
}
const blocks = message => message.content.map(({type}) => type);
const text = message => message.content.filter(({type}) => type === 'text')
    .map(block => block.text).join('');

for (const stream of [false, true]) {
  const way = stream ? 'streamed' : 'whole';

  test(`anthropic text, ${way}`, async () => {
    const reply = await answer(servers.seed, {messages: user('What is 7 + 5?')}, stream);
    assert.equal(text(reply), '7 + 5 = 12');
    assert.equal(reply.role, 'assistant');
    assert.equal(reply.stop_reason, 'end_turn');
    assert(reply.usage.input_tokens + reply.usage.cache_read_input_tokens > 0);
    assert(reply.usage.output_tokens > 0);
    const split = await answer(servers.talks, {system: 'Be brief.'}, stream);
    assert.equal(text(split), greeting);
    assert.deepEqual(blocks(split), ['text']);
  });

  test(`anthropic thinking, ${way}`, async () => {
    const on = await answer(servers.talks, {thinking}, stream);
    assert.deepEqual(blocks(on), ['thinking', 'text']);
    assert.equal(on.content[0].thinking, thought);
    assert(on.content[0].signature.length > 0);
    assert.equal(text(on), greeting);
    const off = await answer(
        servers.talks, {model: 'deepseek-reasoner', thinking: {type: 'disabled'}}, stream);
    assert.deepEqual(blocks(off), ['text']);
    // A thought that was sent back is no part of the next prompt.
    const messages = [...user('Hi'), {role: 'assistant', content: on.content}, ...user('Again')];
    assert.equal(text(await answer(servers.talks, {messages}, stream)), greeting);
  });

  test(`anthropic max_tokens within a thought, ${way}`, async () => {
    const reply = await answer(servers.talks, {thinking, max_tokens: 3}, stream);
    assert.deepEqual(blocks(reply), ['thinking']);
    assert.equal(reply.content[0].thinking, 'The user greets me; ');
    assert.equal(reply.stop_reason, 'max_tokens');
    assert.equal(reply.usage.output_tokens, 3);
  });

  for (const thinks of [false, true]) {
    test(`anthropic tools auto${thinks ? ', thinking' : ''}, ${way}`, async () => {
      const more = {tools: [weather], ...(thinks && {thinking}), messages: user('Weather?')};
      const first = await answer(servers.calls, more, stream);
      assert.equal(first.stop_reason, 'tool_use');
      assert.deepEqual(blocks(first), thinks ? ['thinking', 'tool_use'] : ['tool_use']);
      const use = first.content.at(-1);
      assert.equal(use.name, call.name);
      assert.deepEqual(use.input, JSON.parse(call.arguments));
      more.messages.push({role: 'assistant', content: first.content},
                         {role: 'user', content: [{type: 'tool_result', tool_use_id: use.id,
                                                   content: 'sunny'}]});
      const second = await answer(servers.calls, more, stream);
      assert.equal(text(second), told);
      assert.equal(second.stop_reason, 'end_turn');
    });
  }

  for (const thinks of [false, true]) {
    test(`anthropic tools any, by name and none${thinks ? ', thinking' : ''}, ${way}`, async () => {
      const clock = {name: 'clock', input_schema: {type: 'object'}};
      const more = {tools: [clock, weather], ...(thinks && {thinking})};
      const before = thinks ? ['thinking'] : [];
      const choices = [[{type: 'any'}, [weather]], [{type: 'tool', name: call.name}, more.tools]];
      for (const [tool_choice, tools] of choices) {
        const reply = await answer(servers.talks, {...more, tools, tool_choice}, stream);
        assert.deepEqual(blocks(reply), [...before, 'tool_use']);
        assert.equal(reply.stop_reason, 'tool_use');
        const use = reply.content.at(-1);
        assert.equal(use.name, call.name);
        assert.deepEqual(use.input, {city: 'Paris'});
      }
      const none = await answer(servers.talks, {...more, tool_choice: {type: 'none'}}, stream);
      assert.equal(text(none), greeting);
      assert.deepEqual(blocks(none), [...before, 'text']);
    });
  }

  test(`anthropic prefix and stop sequences, ${way}`, async () => {
    const messages = [...user('What is it?'), {role: 'assistant', content: 'The answer:'}];
    assert.equal(text(await answer(servers.talks, {messages}, stream)), ' forty-two.');
    const cut = await answer(servers.talks, {stop_sequences: ['never', 'o, wor']}, stream);
    assert.equal(text(cut), 'Hell');
    assert.equal(cut.stop_reason, 'stop_sequence');
    assert.equal(cut.stop_sequence, 'o, wor');
  });
}

test('anthropic events come in their order', async () => {
  const types = [];
  for await (const event of await client(servers.talks).messages.create(
           body({thinking, stream: true}))) {
    const type = event.delta?.type ?? event.type;
    if (types.at(-1) !== type) types.push(type);
  }
  assert.deepEqual(types, [
    'message_start', 'content_block_start', 'thinking_delta', 'signature_delta',
    'content_block_stop', 'content_block_start', 'text_delta', 'content_block_stop',
    'message_delta', 'message_stop']);
});

test('anthropic tokens are counted', async () => {
  const {input_tokens} = await client(servers.talks).messages.countTokens(
      {model: 'deepseek-chat', messages: user('Hi')});
  assert.equal(input_tokens, 6); // begin, user, H, i, assistant, end of thought
});

test('anthropic 400, 401, 402, 422 and 429', async () => {
  await assert.rejects(answer(servers.seed, {messages: user('word '.repeat(3000))}),
                       error => error instanceof BadRequestError && /1024/.test(error.message));
  await assert.rejects(answer(servers.seed, {top_p: 2}), UnprocessableEntityError);
  const keys = keyFile('anthropic');
  const broke = await keys.create('broke', '--tokens', '5');
  const slow = await keys.create('slow', '--rpm', '1');
  const server = await serve('talks', '--keys', keys.path);
  const ask = options => client(server, options).messages.create(body());
  await assert.rejects(ask({apiKey: 'wrong'}), error =>
      error instanceof AuthenticationError && error.error.error.type === 'authentication_error');
  await ask({apiKey: null, authToken: broke}); // as Authorization: Bearer
  await assert.rejects(ask({apiKey: broke}), error =>
      error instanceof APIError && error.status === 402);
  await ask({apiKey: slow});
  await assert.rejects(ask({apiKey: slow}), error =>
      error instanceof RateLimitError && Number(error.headers.get('retry-after')) >= 1);
  await stop(server);
});

test('anthropic an abandoned stream stops its work', async () => {
  const messages = [...user('Sing'), {role: 'assistant', content: 'la'}];
  const stream = client(servers.talks).messages.stream(body({messages, max_tokens: 30000}));
  for await (const event of stream)
    if (event.type === 'content_block_delta') break;
  await servers.talks.metricBecomes('hadal_running', 0);
});

test('anthropic a drained server ends its streams with an error', async () => {
  const server = await serve('talks', '--drain', '0');
  const messages = [...user('Sing'), {role: 'assistant', content: 'la'}];
  const stream = client(server).messages.stream(body({messages, max_tokens: 30000}));
  stream.once('text', () => server.child.kill('SIGTERM'));
  await assert.rejects(stream.finalMessage(), error => /shut|end|overload/i.test(error.message));
  assert.equal(await server.exited, 0);
});
