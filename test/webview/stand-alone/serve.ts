/**
 * `npm run panels`: every panel in a plain browser, with the recorded sessions or over a live guest, in any theme and width. The
 * bundle is built anew at each reload of a page.
 *
 *   npm run panels                                 the recordings
 *   npm run panels -- worked-example.asm access    … and a live guest, run to a label, to be stepped on from the page
 */
import { readdirSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { PANELS, type PanelId } from '../../../src/protocol/panels';
import { Live } from './live';
import {
  IDLE,
  RECORDED,
  SETTINGS,
  THEMES,
  asset,
  pageHtml,
  readRecording,
  rebuild,
  stubJs,
  type Setup,
  type Theme,
} from './site';

const [example, at] = process.argv.slice(2);
let live: Live | undefined;

const ASK = `window.pagewalkAsk = (name, args) =>
  fetch('/ask', { method: 'POST', body: JSON.stringify({ name, args }) }).then((response) => response.json());\n`;

const names = (): string[] => readdirSync(RECORDED).map((file) => file.replace(/\.json$/, ''));
const themeOf = (text: string | null): Theme => THEMES.find((each) => each === text) ?? 'dark';
const panelOf = (text: string | null): PanelId => PANELS.find(({ id }) => id === text)?.id ?? 'translation';

/** What a page is set up with: a recording by name, or the live guest. */
function setupOf(query: URLSearchParams): Setup {
  const recording = readRecording(query.get('recording') ?? '');
  if (recording) return recording.setup;
  return { moment: live?.moment ?? IDLE.moment, settings: SETTINGS };
}

/** The switchboard: which panel, which data, theme and width; the page itself stands in a frame. */
function index(): string {
  const options = (all: readonly string[]): string => all.map((each) => `<option>${each}</option>`).join('');
  const sources = [...names(), ...(live ? PANELS.map(({ id }) => `live: ${id}`) : [])];
  return `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Pagewalk panels</title><style>
body { margin: 0; font: 13px system-ui; background: #888; display: flex; flex-direction: column; height: 100vh; }
header { display: flex; gap: 12px; padding: 6px 10px; background: #eee; align-items: center; }
iframe { border: 0; flex: 1; background: #fff; align-self: flex-start; resize: horizontal; }
</style></head><body><header>
<select id="source" aria-label="Panel and data">${options(sources)}</select>
<select id="theme" aria-label="Theme">${options(THEMES)}</select>
<select id="width" aria-label="Width">${options(['300', '220', '700', '1100', 'full'])}</select>
${live ? '<button id="step">Step</button><button id="line">Next line</button><span id="where"></span>' : ''}
</header><iframe id="page" title="panel"></iframe><script>
const get = (id) => document.getElementById(id);
const chosen = JSON.parse(localStorage.panels ?? '{}');
for (const id of ['source', 'theme', 'width']) { if (chosen[id]) get(id).value = chosen[id]; get(id).onchange = show; }
function show() {
  localStorage.panels = JSON.stringify({ source: get('source').value, theme: get('theme').value, width: get('width').value });
  const width = get('width').value, source = get('source').value;
  get('page').style.width = width === 'full' ? '100%' : width + 'px';
  const what = source.startsWith('live: ') ? { panel: source.slice(6) } : { recording: source, panel: source };
  get('page').src = '/page?' + new URLSearchParams({ ...what, theme: get('theme').value, place: width === '300' || width === '220' ? 'sidebar' : 'editor' });
}
async function go(command) {
  const { moment, where } = await fetch('/go', { method: 'POST', body: command }).then((r) => r.json());
  get('where').textContent = where;
  get('page').contentWindow.postMessage({ kind: 'moment', moment }, '*');
}
if (get('step')) { get('step').onclick = () => go('stepIn'); get('line').onclick = () => go('next'); }
show();
</script></body></html>`;
}

const bodyOf = async (request: IncomingMessage): Promise<string> => {
  let body = '';
  for await (const chunk of request) body += String(chunk);
  return body;
};

async function respond(request: IncomingMessage): Promise<{ type: string; body: string } | undefined> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
  switch (pathname) {
    case '/':
      return { type: 'text/html', body: index() };
    case '/page': {
      rebuild();
      const panel = readRecording(searchParams.get('recording') ?? '')?.panel ?? panelOf(searchParams.get('panel'));
      const place = searchParams.get('place') === 'editor' ? 'editor' : 'sidebar';
      const theme = themeOf(searchParams.get('theme'));
      return {
        type: 'text/html',
        body: pageHtml({ panel, theme, place }, `/setup.js?${searchParams.toString().replaceAll('&', '&amp;')}`, true),
      };
    }
    case '/setup.js':
      return { type: 'text/javascript', body: stubJs(setupOf(searchParams), live ? ASK : '') };
    case '/ask': {
      const { name, args } = JSON.parse(await bodyOf(request)) as { name: string; args: object };
      return { type: 'application/json', body: JSON.stringify(await live?.answer(name, args)) };
    }
    case '/go': {
      await live?.go(await bodyOf(request));
      const [frame] =
        (await live?.ask<{ stackFrames: { name: string }[] }>('stackTrace', { threadId: 1 }))?.stackFrames ?? [];
      return { type: 'application/json', body: JSON.stringify({ moment: live?.moment, where: frame?.name }) };
    }
    default:
      return asset(pathname);
  }
}

const server = createServer((request, response) => {
  void respond(request).then(
    (content) => {
      response.writeHead(content ? 200 : 404, { 'content-type': `${content?.type ?? 'text/plain'}; charset=utf-8` });
      response.end(content?.body ?? '');
    },
    (error: Error) => {
      response.writeHead(500).end(error.message);
    },
  );
});
async function start(): Promise<void> {
  if (example !== undefined) live = await Live.start({ example, ...(at === undefined ? {} : { at }) });
  server.listen(Number(process.env['PORT'] ?? 4780), '127.0.0.1', () => {
    const address = server.address();
    console.log(`Panels: http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}  (Ctrl-C stops)`);
  });
}
void start();
