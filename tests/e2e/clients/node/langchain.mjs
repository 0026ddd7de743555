// The @langchain/deepseek package.
import assert from 'node:assert/strict';
import {concat} from '@langchain/core/utils/stream';
import {AIMessage, HumanMessage, ToolMessage} from '@langchain/core/messages';
import {ChatDeepSeek} from '@langchain/deepseek';
import {call, greeting, keyFile, serve, stop, test, thought, told,
        clockTool, okSchema, weatherTool} from './harness.mjs';

const model = (server, options = {}) => new ChatDeepSeek({
  model: 'deepseek-chat', apiKey: 'none', maxRetries: 0, ...options,
  configuration: {baseURL: `${server.url}/v1`},
});

async function answer(runnable, input, stream) {
  if (!stream) return runnable.invoke(input);
  let all;
  for await (const chunk of await runnable.stream(input)) all = all ? concat(all, chunk) : chunk;
  return all;
}

for (const stream of [false, true]) {
  const way = stream ? 'streamed' : 'whole';

  test(`langchain text, ${way}`, async () => {
    const reply = await answer(model(servers.seed), 'What is 7 + 5?', stream);
    assert.equal(reply.text, '7 + 5 = 12');
    assert(reply.usage_metadata.input_tokens > 0 && reply.usage_metadata.output_tokens > 0);
    assert.equal(reply.response_metadata.finish_reason, 'stop');
    assert.equal((await answer(model(servers.talks), 'Hi', stream)).text, greeting);
  });

  test(`langchain thinking, ${way}`, async () => {
    const named = await answer(model(servers.talks, {model: 'deepseek-reasoner'}), 'Hi', stream);
    assert.equal(named.additional_kwargs.reasoning_content, thought);
    assert.equal(named.text, greeting);
    const off = model(servers.talks, {model: 'deepseek-reasoner',
                                      modelKwargs: {thinking: {type: 'disabled'}}});
    assert(!(await answer(off, 'Hi', stream)).additional_kwargs.reasoning_content);
  });

  test(`langchain the end by length and by a stop string, ${way}`, async () => {
    const short = await answer(
        model(servers.talks, {model: 'deepseek-reasoner', maxTokens: 3}), 'Hi', stream);
    assert.equal(short.additional_kwargs.reasoning_content, 'The user greets me; ');
    assert.equal(short.text, '');
    assert.equal(short.response_metadata.finish_reason, 'length');
    const cut = await answer(model(servers.talks, {stop: ['o, wor']}), 'Hi', stream);
    assert.equal(cut.text, 'Hell');
  });

  for (const name of ['deepseek-chat', 'deepseek-reasoner']) {
    test(`langchain tools auto, ${name}, ${way}`, async () => {
      const bound = model(servers.calls, {model: name}).bindTools([weatherTool]);
      const messages = [new HumanMessage('Weather?')];
      const first = await answer(bound, messages, stream);
      assert.equal(first.tool_calls.length, 1);
      assert.equal(first.tool_calls[0].name, call.name);
      assert.deepEqual(first.tool_calls[0].args, JSON.parse(call.arguments));
      const asked = new AIMessage({content: first.text, tool_calls: first.tool_calls});
      messages.push(asked, new ToolMessage({tool_call_id: first.tool_calls[0].id,
                                            content: 'sunny'}));
      assert.equal((await answer(bound, messages, stream)).text, told);
    });
  }

  for (const name of ['deepseek-chat', 'deepseek-reasoner']) {
    test(`langchain tools required, named and none, ${name}, ${way}`, async () => {
      const ask = (server, tools, tool_choice) =>
          answer(model(server, {model: name}).bindTools(tools, {tool_choice}), 'Weather?', stream);
      const both = [clockTool, weatherTool];
      for (const [tools, choice] of [[[weatherTool], 'required'], [both, call.name]]) {
        const reply = await ask(servers.talks, tools, choice);
        assert.deepEqual(reply.tool_calls.map(({name, args}) => [name, args]),
                         [[call.name, {city: 'Paris'}]]);
      }
      assert.equal((await ask(servers.talks, both, 'none')).text, greeting);
    });
  }

  test(`langchain json_object, ${way}`, async () => {
    const asked = model(servers.talks, {modelKwargs: {response_format: {type: 'json_object'}}});
    assert.deepEqual(JSON.parse((await answer(asked, 'Hi', stream)).text), {ok: true});
  });

  test(`langchain logprobs, ${way}`, async () => {
    const asked = model(servers.talks, {logprobs: true, topLogprobs: 1});
    const reply = await answer(asked, 'Hi', stream);
    const {content} = reply.response_metadata.logprobs;
    assert.equal(Buffer.from(content.flatMap(item => item.bytes)).toString('utf8'), greeting);
  });
}

test('langchain structured output', async () => {
  const shaped = model(servers.talks)
      .withStructuredOutput(okSchema, {name: 'ok', method: 'functionCalling'});
  assert.deepEqual(await shaped.invoke('Hi'), {ok: true});
});

test('langchain 401, 422 and 429', async () => {
  const keys = keyFile('langchain');
  const slow = await keys.create('slow', '--rpm', '1');
  const server = await serve('talks', '--keys', keys.path);
  const ask = options => model(server, options).invoke('Hi');
  await assert.rejects(ask({apiKey: 'wrong'}), error => error.status === 401);
  await assert.rejects(ask({apiKey: slow, topP: 2}), error => error.status === 422);
  await ask({apiKey: slow});
  await assert.rejects(ask({apiKey: slow}), error => error.status === 429);
  await stop(server);
});
