// Runs all cases, or those whose name has the first argument in it.
import {runCases, serve} from './harness.mjs';
import './openai.mjs';
import './ai_sdk.mjs';
import './anthropic.mjs';
import './langchain.mjs';

const servers = {};
for (const name of ['seed', 'talks', 'calls']) servers[name] = await serve(name);
globalThis.servers = servers;
process.exitCode = await runCases(process.argv[2]) ? 0 : 1;
