/**
 * What VS Code waits for when the extension is activated, in fresh processes over the built bundle with an empty shell for VS Code's
 * API: loading it and `activate`; and, later, what the first assembly file costs (the language client's library).
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from '../webview/stand-alone/site';
import { summary, type Times } from './adapter';

interface Run {
  readonly load: number;
  readonly activate: number;
  /** Processor time of both. */
  readonly processor: number;
  readonly language: number;
}

/** Everything of the shell is a function that can be called, made anew and inherited from, and has every member. */
const SCRIPT = `
const { Module } = require('node:module');
let opened;
const shell = (overrides = {}) => new Proxy(function () {}, {
  get: (target, key) => key in overrides ? overrides[key] : key === 'prototype' ? {} :
    key === Symbol.iterator ? function* () {} : key === Symbol.toPrimitive ? () => '' : key === 'then' ? undefined : any,
  // a bundle makes its namespace inherit from the module's prototype
  getPrototypeOf: () => (overrides.workspace ? vscode : Function.prototype),
  apply: () => any,
  construct: () => any,
});
const any = shell();
const workspace = shell({ textDocuments: [], onDidOpenTextDocument: (listener) => ((opened ??= listener), any) });
const vscode = shell({ workspace, version: '1.120.0' });
const load = Module._load;
Module._load = (name, ...rest) => (name === 'vscode' ? vscode : load(name, ...rest));
const context = { subscriptions: [], extensionUri: any, asAbsolutePath: (path) => path };
const cpu = process.cpuUsage();
const start = performance.now();
const extension = require(process.argv[1]);
const loaded = performance.now();
extension.activate(context);
const active = performance.now();
const { user, system } = process.cpuUsage(cpu);
// the module itself is what is measured: the shell cannot start a server
process.on('unhandledRejection', () => {});
opened({ languageId: 'pagewalk-asm', fileName: 'guest.asm' });
const begun = performance.now();
setImmediate(() => {
  process.stdout.write(JSON.stringify({
    load: loaded - start, activate: active - loaded, processor: (user + system) / 1000, language: performance.now() - begun,
  }));
  process.exit(0);
});
`;

/** Times in milliseconds, of `count` processes. */
export function activationTimes(count: number): Readonly<Record<keyof Run, Times>> {
  const bundle = join(ROOT, 'dist/extension.js');
  const runs = Array.from({ length: count }, () => {
    const text = execFileSync(process.execPath, ['-e', SCRIPT, bundle], { encoding: 'utf8' });
    return JSON.parse(text) as Run;
  });
  const of = (key: keyof Run): Times => summary(runs.map((run) => run[key]));
  return { load: of('load'), activate: of('activate'), processor: of('processor'), language: of('language') };
}
