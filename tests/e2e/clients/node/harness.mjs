// Cases, and the servers that they are run against.
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

const binary = process.env.HADAL_BINARY;
const models = {
  seed: process.env.HADAL_SEED_MODEL,
  talks: join(process.env.HADAL_SCRIPTED_MODELS, 'talks.gguf'),
  calls: join(process.env.HADAL_SCRIPTED_MODELS, 'calls.gguf'),
};
const home = mkdtempSync(join(tmpdir(), 'hadal-clients-'));
const environment = {...process.env, HOME: home, XDG_DATA_HOME: home, XDG_CONFIG_HOME: home};

// What tests/e2e/scripted_model.h lets its models say.
export const thought = 'The user greets me; I greet back.';
export const greeting = 'Hello, world! 你好世界 🌍 Bye';
export const middle = '    return a + b\n';
export const call = {name: 'get_weather', arguments: '{"city": "Paris"}'};
export const told = 'It is sunny in Paris';

export const weatherParameters = {
  type: 'object',
  properties: {city: {type: 'string', enum: ['Paris', 'Rome']}},
  required: ['city'],
  additionalProperties: false,
};
export const weatherTool = {
  type: 'function',
  function: {name: 'get_weather', description: 'The weather now', parameters: weatherParameters},
};
export const clockTool = {type: 'function', function: {name: 'clock', description: 'The time'}};
export const okSchema = {
  type: 'object', properties: {ok: {type: 'boolean'}}, required: ['ok'],
  additionalProperties: false,
};
export const user = text => [{role: 'user', content: text}];

const running = [];

// Starts `hadal serve`; model: a key of `models`.
export async function serve(model, ...flags) {
  const child = spawn(binary, ['serve', models[model], '--port', '0', '--access-log', '', ...flags],
                      {env: environment, stdio: ['ignore', 'ignore', 'pipe']});
  const server = {
    child,
    exited: new Promise(resolve => child.on('exit', resolve)),
    async metric(name) {
      const text = await (await fetch(`${server.url}/metrics`)).text();
      return Number(text.match(new RegExp(`^${name} (.*)$`, 'm'))?.[1]);
    },
    async metricBecomes(name, value) {
      for (let i = 0; i < 250; ++i) {
        if (await server.metric(name) === value) return;
        await new Promise(resolve => setTimeout(resolve, 20));
      }
      assert.fail(`${name} is ${await server.metric(name)}, expected ${value}`);
    },
  };
  running.push(server);
  let log = '';
  child.stderr.setEncoding('utf8');
  server.url = await new Promise((resolve, reject) => {
    child.stderr.on('data', text => {
      log += text;
      const found = log.match(/listening on (\S+)\n/);
      if (found) resolve(found[1]);
    });
    child.on('exit', code => reject(new Error(`hadal serve left with ${code}: ${log}`)));
  });
  while ((await fetch(`${server.url}/readyz`)).status !== 200)
    await new Promise(resolve => setTimeout(resolve, 20));
  return server;
}

export async function stop(server) {
  server.child.kill('SIGKILL');
  await server.exited;
}

// A file of keys, for `serve(model, '--keys', keys.path)`; create() makes a key and returns its
// text.
export function keyFile(name) {
  const path = join(home, `${name}.json`);
  return {
    path,
    async create(key, ...limits) {
      const child = spawn(binary, ['key', 'create', key, '--keys', path, ...limits],
                          {env: environment});
      let text = '';
      for await (const piece of child.stdout) text += piece;
      return text.trim();
    },
  };
}

const cases = [];
export function test(name, run) {
  cases.push({name, run});
}

// Runs what the modules have registered; whether all passed.
export async function runCases(filter) {
  let failed = 0, passed = 0;
  for (const {name, run} of cases) {
    if (filter && !name.includes(filter)) continue;
    const start = performance.now();
    let error = null;
    let timer;
    try {
      const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error('no end within 30 s')), 30_000);
      });
      await Promise.race([run(), late]);
    } catch (caught) {
      error = caught;
    }
    clearTimeout(timer);
    const ms = Math.round(performance.now() - start);
    console.log(`${error ? 'FAILED' : 'ok    '} ${name} (${ms} ms)`);
    if (error) console.log(error.stack ?? error);
    error ? ++failed : ++passed;
  }
  for (const server of running) await stop(server);
  rmSync(home, {recursive: true, force: true});
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0;
}
