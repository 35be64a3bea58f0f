/**
 * The stand-alone pages of the panels, as a function from a path to its content: tests serve it to the browser without a network,
 * `npm run panels` over HTTP. A panel's page is the one that the extension makes, with VS Code's styles and a recorded session.
 */
import { build } from 'esbuild';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  PANELS,
  type Cursor,
  type Moment,
  type PanelCommand,
  type PanelId,
  type PanelSettings,
} from '../../../src/protocol/panels';
import themes from './themes.json';

export const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const HERE = fileURLToPath(new URL('.', import.meta.url));
export const RECORDED = join(ROOT, 'test/webview/recorded');

export type Theme = keyof typeof themes;
export const THEMES = Object.keys(themes) as readonly Theme[];
/** The three that every panel is photographed in. */
export const SHOT_THEMES: readonly Theme[] = ['light', 'dark', 'contrast'];

export interface Exchange {
  readonly name: string;
  readonly arguments: object;
  readonly reply?: unknown;
  readonly refused?: string;
}

/** What VS Code's side of a stand-alone page does: see stub.js. */
export interface Setup {
  readonly moment: Moment;
  readonly settings: PanelSettings;
  readonly exchanges?: readonly Exchange[];
  /** What an earlier life of the page stored. */
  readonly kept?: unknown;
  readonly cursor?: Cursor;
  readonly command?: PanelCommand;
}
export const SETTINGS: PanelSettings = { updateAtStop: true, followCursor: true };
export const IDLE: Setup = { moment: { standing: 'none', number: 0, session: '', stop: 0 }, settings: SETTINGS };

export interface Recording {
  readonly panel: PanelId;
  readonly setup: Setup;
}
export function readRecording(name: string): Recording | undefined {
  const file = join(RECORDED, `${name}.json`);
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Recording) : undefined;
}

let bundle: Promise<{ readonly js: string; readonly css: string }> | undefined;
/** The browser bundle as the build makes it, built once in memory. */
function webview(): Promise<{ readonly js: string; readonly css: string }> {
  return (bundle ??= build({
    absWorkingDir: ROOT,
    entryPoints: ['src/main/webview.ts'],
    bundle: true,
    write: false,
    outfile: 'webview.js',
    format: 'iife',
    target: 'es2022',
    sourcemap: false,
    logLevel: 'warning',
  }).then(({ outputFiles }) => {
    const text = (end: string): string => outputFiles.find(({ path }) => path.endsWith(end))?.text ?? '';
    return { js: text('.js'), css: text('.css') };
  }));
}
export function rebuild(): void {
  bundle = undefined;
}

const themeCss = (theme: Theme): string => {
  const { variables } = themes[theme];
  const lines = Object.entries(variables).map(([name, value]) => `  ${name}: ${value};`);
  return `html {\n${lines.join('\n')}\n}
html:has([data-place='sidebar']) { background: var(--vscode-sideBar-background); }
html:has([data-place='editor']) { background: var(--vscode-editor-background); }\n`;
};

export interface PageOptions {
  readonly panel: PanelId;
  readonly theme: Theme;
  readonly place: 'sidebar' | 'editor';
}

/** The page of src/extension/panels/html.ts, with VS Code's part before it. `connect`: may ask the server (a live guest). */
export function pageHtml({ panel, theme, place }: PageOptions, setup: string, connect = false): string {
  const { title } = PANELS.find(({ id }) => id === panel) ?? { title: panel };
  const policy = `default-src 'none'; style-src 'self'; font-src 'self'; script-src 'nonce-page'${connect ? "; connect-src 'self'" : ''}`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/theme/${theme}.css">
<link rel="stylesheet" href="/vscode-default.css">
<link rel="stylesheet" href="/webview.css">
<title>${title}</title>
</head>
<body class="${themes[theme].class}" data-vscode-theme-kind="${themes[theme].kind}" data-panel="${panel}" data-place="${place}">
<script nonce="page" src="${setup}"></script>
<script nonce="page" src="/webview.js"></script>
</body>
</html>`;
}

export const stubJs = (setup: Setup, before = ''): string =>
  `${before}const SETUP = ${JSON.stringify(setup)};\n${readFileSync(join(HERE, 'stub.js'), 'utf8')}`;

export interface Content {
  readonly type: string;
  readonly body: string;
}

/** The parts that every page loads. */
export async function asset(path: string): Promise<Content | undefined> {
  if (path === '/webview.js') return { type: 'text/javascript', body: (await webview()).js };
  if (path === '/webview.css') return { type: 'text/css', body: (await webview()).css };
  if (path === '/vscode-default.css')
    return { type: 'text/css', body: readFileSync(join(HERE, 'vscode-default.css'), 'utf8') };
  const theme = THEMES.find((each) => path === `/theme/${each}.css`);
  return theme && { type: 'text/css', body: themeCss(theme) };
}
