/** One VS Code for the whole end-to-end run. */
import { startVSCode, stopVSCode } from './vscode';

export const mochaHooks = { beforeAll: startVSCode, afterAll: stopVSCode };
