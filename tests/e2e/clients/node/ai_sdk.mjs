// The packages ai with @ai-sdk/deepseek and @ai-sdk/openai-compatible.
import assert from 'node:assert/strict';
import {createDeepSeek} from '@ai-sdk/deepseek';
import {createOpenAICompatible} from '@ai-sdk/openai-compatible';
import {APICallError, Output, embedMany, generateText, jsonSchema, stepCountIs,
        streamText, tool} from 'ai';
import {call, greeting, keyFile, middle, serve, stop, test, thought, told, user,
        okSchema, weatherParameters} from './harness.mjs';

const deepseek = (server, path = '', options = {}) =>
    createDeepSeek({baseURL: server.url + path, apiKey: 'none', ...options});
const compatible = (server, options = {}) => createOpenAICompatible(
    {name: 'hadal', baseURL: `${server.url}/v1`, apiKey: 'none', includeUsage: true, ...options});
const providers = {
  'ai deepseek': server => deepseek(server)('deepseek-chat'),
  'ai openai-compatible': server => compatible(server)('deepseek-chat'),
};
const thinking = type => ({deepseek: {thinking: {type}}, hadal: {thinking: {type}}});

// One form for both ways; errors of a stream are thrown.
async function answer(options, stream) {
  const all = {maxRetries: 0, prompt: options.messages ? undefined : 'Hi', ...options};
  if (!stream) return generateText(all);
  let failure = null;
  const result = streamText({...all, onError: ({error}) => { failure = error; }});
  await result.consumeStream();
  if (failure) throw failure;
  const [text, reasoningText, finishReason, usage, toolCalls, steps, warnings] =
      await Promise.all([result.text, result.reasoningText, result.finishReason, result.totalUsage,
                         result.toolCalls, result.steps, result.warnings]);
  return {text, reasoningText, finishReason, usage, toolCalls, steps, warnings};
}

for (const [name, model] of Object.entries(providers)) {
  for (const stream of [false, true]) {
    const way = stream ? 'streamed' : 'whole';

    test(`${name} text, ${way}`, async () => {
      const reply = await answer({model: model(servers.seed), prompt: 'What is 7 + 5?'}, stream);
      assert.equal(reply.text, '7 + 5 = 12');
      assert.equal(reply.finishReason, 'stop');
      assert(reply.usage.inputTokens > 0 && reply.usage.outputTokens > 0);
      const split = await answer({model: model(servers.talks)}, stream);
      assert.equal(split.text, greeting);
      assert.equal(split.reasoningText, undefined);
    });

    test(`${name} thinking, ${way}`, async () => {
      const on = await answer(
          {model: model(servers.talks), providerOptions: thinking('enabled')}, stream);
      assert.equal(on.reasoningText, thought);
      assert.equal(on.text, greeting);
      assert.equal(on.usage.outputTokenDetails.reasoningTokens, 5);
      const off = await answer(
          {model: model(servers.talks), providerOptions: thinking('disabled')}, stream);
      assert.equal(off.reasoningText, undefined);
    });

    test(`${name} the end by length and by a stop string, ${way}`, async () => {
      const short = await answer({model: model(servers.talks), maxOutputTokens: 3,
                                  providerOptions: thinking('enabled')}, stream);
      assert.equal(short.reasoningText, 'The user greets me; ');
      assert.equal(short.text, '');
      assert.equal(short.finishReason, 'length');
      const cut = await answer({model: model(servers.talks), stopSequences: ['o, wor']}, stream);
      assert.equal(cut.text, 'Hell');
      assert.equal(cut.finishReason, 'stop');
    });

    for (const type of ['disabled', 'enabled']) {
      test(`${name} tools auto, thinking ${type}, ${way}`, async () => {
        const asked = [];
        const weather = tool({
          description: 'The weather now', inputSchema: jsonSchema(weatherParameters),
          execute: async ({city}) => (asked.push(city), 'sunny'),
        });
        const reply = await answer({model: model(servers.calls), tools: {[call.name]: weather},
                                    stopWhen: stepCountIs(3), providerOptions: thinking(type)},
                                   stream);
        assert.deepEqual(asked, ['Paris']);
        assert.equal(reply.text, told);
        assert.equal(reply.steps.length, 2);
        assert.equal(reply.steps[0].finishReason, 'tool-calls');
        assert.equal(reply.steps[0].reasoningText,
                     type === 'enabled' ? 'I need the weather.' : undefined);
      });
    }

    for (const type of ['disabled', 'enabled']) {
      test(`${name} tools required, named and none, thinking ${type}, ${way}`, async () => {
        const weather = tool({inputSchema: jsonSchema(weatherParameters)});
        const clock = tool({inputSchema: jsonSchema({type: 'object', properties: {}})});
        const ask = (server, more) =>
            answer({model: model(server), providerOptions: thinking(type), ...more}, stream);
        const both = {clock, [call.name]: weather};
        for (const more of [{tools: {[call.name]: weather}, toolChoice: 'required'},
                            {tools: both, toolChoice: {type: 'tool', toolName: call.name}}]) {
          const reply = await ask(servers.talks, more);
          assert.equal(reply.finishReason, 'tool-calls');
          assert.deepEqual(reply.toolCalls.map(({toolName, input}) => [toolName, input]),
                           [[call.name, {city: 'Paris'}]]);
        }
        const none = await ask(servers.talks, {tools: both, toolChoice: 'none'});
        assert.equal(none.text, greeting);
      });
    }

    test(`${name} an object by its schema, ${way}`, async () => {
      const output = Output.object({schema: jsonSchema(okSchema)});
      const reply = await answer({model: model(servers.talks), output}, stream);
      assert.deepEqual(JSON.parse(reply.text), {ok: true});
    });

    test(`${name} errors, ${way}`, async () => {
      await assert.rejects(answer({model: model(servers.seed), topP: 2}, stream), error =>
          APICallError.isInstance(error) && error.statusCode === 422 &&
          /top_p/.test(error.message) && !error.isRetryable);
      await assert.rejects(answer({model: model(servers.seed), prompt: 'word '.repeat(3000)},
                                  stream),
                           error => error.statusCode === 400 && /1024/.test(error.message));
    });
  }
}

test('ai deepseek prefix', async () => {
  const messages = [...user('What is it?'), {role: 'assistant', content: 'The answer:',
                                            providerOptions: {deepseek: {prefix: true}}}];
  const model = deepseek(servers.talks, '/beta')('deepseek-chat');
  for (const stream of [false, true])
    assert.equal((await answer({model, messages}, stream)).text, ' forty-two.');
});

test('ai deepseek logprobs and cache hits', async () => {
  const options = {model: deepseek(servers.talks)('deepseek-chat'), prompt: 'word '.repeat(200),
                   providerOptions: {deepseek: {logprobs: true, topLogprobs: 2,
                                                userId: 'somebody'}}};
  await answer(options);
  const reply = await answer(options);
  assert(reply.usage.inputTokenDetails.cacheReadTokens > 500);
  const {logprobs} = reply.providerMetadata.deepseek;
  const bytes = logprobs.content.flatMap(item => item.bytes);
  assert.equal(Buffer.from(bytes).toString('utf8'), greeting);
});

test('ai deepseek 401, 402 and 429', async () => {
  const keys = keyFile('ai');
  const broke = await keys.create('broke', '--tokens', '5');
  const slow = await keys.create('slow', '--rpm', '1');
  const server = await serve('talks', '--keys', keys.path);
  const ask = apiKey => answer({model: deepseek(server, '', {apiKey})('deepseek-chat')});
  await assert.rejects(ask('wrong'), error => error.statusCode === 401);
  await ask(broke);
  await assert.rejects(ask(broke), error => error.statusCode === 402 && !error.isRetryable);
  await ask(slow);
  await assert.rejects(ask(slow), error => error.statusCode === 429 && error.isRetryable);
  await stop(server);
});

test('ai deepseek an abandoned stream stops its work', async () => {
  const messages = [...user('Sing'), {role: 'assistant', content: 'la',
                                     providerOptions: {deepseek: {prefix: true}}}];
  const controller = new AbortController();
  const {textStream} = streamText({model: deepseek(servers.talks, '/beta')('deepseek-chat'),
                                   messages, abortSignal: controller.signal, maxRetries: 0});
  let text = '';
  for await (const piece of textStream) {
    text += piece;
    if (text.length > 30) controller.abort();
  }
  assert(text.startsWith('la la '), text);
  await servers.talks.metricBecomes('hadal_running', 0);
});

test('ai deepseek an answer that a drained server ends is an error', async () => {
  const server = await serve('talks', '--drain', '0');
  const messages = [...user('Sing'), {role: 'assistant', content: 'la',
                                     providerOptions: {deepseek: {prefix: true}}}];
  const result = streamText({model: deepseek(server, '/beta')('deepseek-chat'), messages,
                             maxRetries: 0, onError() {}});
  for await (const piece of result.textStream) if (piece) server.child.kill('SIGTERM');
  assert.equal(await result.finishReason, 'error');
  assert.equal(await result.rawFinishReason, 'insufficient_system_resource');
  assert.equal(await server.exited, 0);
});

test('ai openai-compatible completions and embeddings', async () => {
  const model = compatible(servers.talks).completionModel('deepseek-chat');
  for (const stream of [false, true]) {
    const fim = await answer({model, prompt: 'def add(a, b):\n',
                              providerOptions: {hadal: {suffix: '\nprint(add(1, 2))'}}}, stream);
    assert.equal(fim.finishReason, 'stop');
    assert.equal(fim.text, middle);
  }
  const {embeddings} = await embedMany({
    model: compatible(servers.seed).embeddingModel('deepseek-chat'), values: ['a cat', 'seven']});
  assert.equal(embeddings.length, 2);
});
