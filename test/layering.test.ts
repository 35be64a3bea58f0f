/**
 * The layer table of ARCHITECTURE.md, enforced: which layer may import which, no files that import each other in a circle, `vscode` only in the
 * extension, and a core that is a pure function of its inputs (no Node, no DOM, no clock, no randomness).
 */
import * as assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, posix, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', 'src');

/** Each layer, and the layers that it may import beside itself. */
const HW = ['hw/memory', 'hw/fpu', 'hw/paging', 'hw/tlb', 'hw/state', 'hw/vmx', 'hw/svm', 'hw/cpu'];
const VMM_AND_BELOW = ['vmm', 'kvm', 'host', 'trace', ...HW, 'isa', 'base'];
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  base: [],
  isa: ['base'],
  expr: ['isa', 'base'],
  asm: ['expr', 'isa', 'base'],
  'hw/memory': ['base'],
  'hw/fpu': ['base'],
  'hw/paging': ['hw/memory', 'isa', 'base'],
  'hw/tlb': ['hw/paging', 'hw/memory', 'isa', 'base'],
  'hw/state': ['hw/memory', 'isa', 'base'],
  'hw/vmx': ['hw/state', 'hw/paging', 'hw/tlb', 'hw/memory', 'isa', 'base'],
  'hw/svm': ['hw/state', 'hw/paging', 'hw/tlb', 'hw/memory', 'isa', 'base'],
  'hw/cpu': [...HW, 'isa', 'base'],
  trace: ['hw/paging', 'base'],
  host: ['trace', ...HW, 'isa', 'base'],
  kvm: ['host', 'trace', ...HW, 'isa', 'base'],
  vmm: VMM_AND_BELOW,
  model: ['base'],
  session: [...VMM_AND_BELOW, 'model', 'asm', 'expr'],
  protocol: ['model', 'base'],
  wire: ['model', 'session', 'protocol', 'asm', 'expr', ...VMM_AND_BELOW],
  dap: ['model', 'wire', 'session', 'protocol', 'asm', 'expr', 'isa', 'base'],
  lsp: ['asm', 'expr', 'isa', 'base'],
  webview: ['protocol', 'model', 'base'],
  extension: ['protocol', 'model', 'expr', 'base'],
  cli: ['model', 'wire', 'session', 'protocol', 'asm', 'expr', 'isa', 'base'],
  node: ['base'],
  main: ['*'],
};

/** Packages that a layer may import; Node's own modules count as `node:`. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  asm: ['iced-x86'],
  'hw/cpu': ['iced-x86'],
  vmm: ['@noble/hashes'],
  dap: ['@vscode/debugadapter', '@vscode/debugprotocol', 'node:'],
  lsp: ['vscode-languageserver', 'vscode-languageserver-textdocument'],
  extension: ['vscode', 'vscode-languageclient', 'node:'],
  node: ['node:'],
  main: ['node:', '@vscode/debugadapter', '@vscode/debugprotocol', 'vscode-languageserver'],
};

/** Layers whose runs are pure functions of their inputs. */
const PURE = new Set([
  'base',
  'isa',
  'expr',
  'asm',
  'model',
  'protocol',
  'trace',
  'host',
  'kvm',
  'vmm',
  'session',
  'wire',
  ...HW,
]);
const IMPURE_GLOBALS: ReadonlySet<string> = new Set([
  ...[
    'Date',
    'performance',
    'crypto',
    'setTimeout',
    'setInterval',
    'setImmediate',
    'queueMicrotask',
    'requestAnimationFrame',
  ],
  ...['process', 'Buffer', 'require', 'fetch', 'window', 'document', 'globalThis', 'console'],
]);

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}
interface Source {
  readonly path: string;
  readonly tree: ts.SourceFile;
}

function* filesBelow(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesBelow(path);
    else if (/\.ts$/.test(entry.name)) yield relative(ROOT, path).split('\\').join('/');
  }
}

const sources: readonly Source[] = [...filesBelow(ROOT)].map((path) => ({
  path,
  tree: ts.createSourceFile(path, readFileSync(join(ROOT, path), 'utf8'), ts.ScriptTarget.ES2022, true),
}));
const known = new Set(sources.map(({ path }) => path));

function layerOf(path: string): string {
  const [first = '', second = ''] = path.split('/');
  return first === 'hw' ? `hw/${second}` : first;
}

function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node);
  ts.forEachChild(node, (child) => walk(child, visit));
}

function importsOf({ path, tree }: Source): Import[] {
  const found: Import[] = [];
  const add = (specifier: ts.Expression | undefined, typeOnly: boolean): void => {
    if (specifier && ts.isStringLiteral(specifier)) found.push({ from: path, to: specifier.text, typeOnly });
  };
  walk(tree, (node) => {
    if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, node.importClause?.isTypeOnly ?? false);
    else if (ts.isExportDeclaration(node)) add(node.moduleSpecifier, node.isTypeOnly);
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
      add(node.arguments[0], false);
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal, true);
  });
  return found;
}

/** The file that a relative import names, or undefined for a package. */
function resolve({ from, to }: Import): string | undefined {
  if (!to.startsWith('.')) return undefined;
  const path = posix.normalize(posix.join(posix.dirname(from), to));
  return (
    [path, `${path}.ts`, `${path}/index.ts`, path.replace(/\.css$/, '.css.d.ts')].find((each) => known.has(each)) ??
    path
  );
}

const imports = sources.flatMap(importsOf);

/** Files that reach each other by imports: the strongly connected components of more than one file (Tarjan), each sorted. */
function knots(among: readonly Import[]): string[][] {
  const edges = new Map<string, string[]>();
  for (const each of among) {
    const target = resolve(each);
    if (target !== undefined) edges.set(each.from, [...(edges.get(each.from) ?? []), target]);
  }
  const found: string[][] = [];
  const order = new Map<string, number>();
  const open: string[] = [];
  const visit = (file: string): number => {
    const number = order.size;
    let least = number;
    order.set(file, number);
    open.push(file);
    for (const next of edges.get(file) ?? []) {
      const seen = order.get(next);
      if (seen === undefined) least = Math.min(least, visit(next));
      else if (open.includes(next)) least = Math.min(least, seen);
    }
    if (least === number) {
      const knot = open.splice(open.indexOf(file));
      if (knot.length > 1) found.push(knot.sort());
    }
    return least;
  };
  for (const file of edges.keys()) if (!order.has(file)) visit(file);
  return found.sort((a, b) => b.length - a.length);
}

describe('layering', () => {
  it('places every file in a layer of the table', () => {
    const strays = sources.map(({ path }) => path).filter((path) => !(layerOf(path) in ALLOWED));
    assert.deepEqual(strays, []);
  });

  it('imports only layers below', () => {
    const wrong = imports.flatMap((each) => {
      const target = resolve(each);
      if (target === undefined) return [];
      const [from, to] = [layerOf(each.from), layerOf(target)];
      const allowed = ALLOWED[from] ?? [];
      return from === to || allowed.includes(to) || allowed.includes('*')
        ? []
        : [`${each.from} imports ${target} (${from} → ${to})`];
    });
    assert.deepEqual(wrong, []);
  });

  it('imports only the packages of its layer', () => {
    const wrong = imports.flatMap((each) => {
      if (each.to.startsWith('.')) return [];
      const name = each.to.startsWith('node:')
        ? 'node:'
        : each.to
            .split('/')
            .slice(0, each.to.startsWith('@') ? 2 : 1)
            .join('/');
      return (PACKAGES[layerOf(each.from)] ?? []).includes(name) ? [] : [`${each.from} imports ${each.to}`];
    });
    assert.deepEqual(wrong, []);
  });

  it('has no knot of files that import each other, by value or by type', () => {
    const wrong = knots(imports).map((knot) => `${knot.length} files: ${knot.join(', ')}`);
    assert.deepEqual(wrong, []);
  });

  it('has no cycle of values between files', () => {
    assert.deepEqual(knots(imports.filter(({ typeOnly }) => !typeOnly)), []);
  });

  it('finds the knots of a graph, and only those', () => {
    const edge = (from: string, to: string): Import => ({ from, to: `./${to}`, typeOnly: true });
    const graph = [edge('a', 'b'), edge('b', 'c'), edge('c', 'a'), edge('c', 'd'), edge('d', 'e'), edge('f', 'a')];
    assert.deepEqual(knots(graph), [['a', 'b', 'c']]);
    assert.deepEqual(knots([...graph, edge('e', 'd')]), [
      ['a', 'b', 'c'],
      ['d', 'e'],
    ]);
    assert.deepEqual(knots([...graph, edge('e', 'f')]), [['a', 'b', 'c', 'd', 'e', 'f']]);
  });

  it('keeps the clock, randomness, Node and the DOM out of the core', () => {
    const wrong: string[] = [];
    for (const { path, tree } of sources) {
      if (!PURE.has(layerOf(path)) || path.endsWith('.d.ts')) continue;
      walk(tree, (node) => {
        if (!ts.isIdentifier(node)) return;
        const { parent } = node;
        const line = (): string => `${path}:${tree.getLineAndCharacterOfPosition(node.getStart()).line + 1}`;
        if (node.text === 'random' && ts.isPropertyAccessExpression(parent) && parent.expression.getText() === 'Math')
          wrong.push(`${line()} uses Math.random`);
        if (!IMPURE_GLOBALS.has(node.text)) return;
        // A member or a key of that name is not the global; neither is a local that shadows it.
        const isRead =
          (ts.isCallExpression(parent) && parent.expression === node) ||
          (ts.isNewExpression(parent) && parent.expression === node) ||
          (ts.isPropertyAccessExpression(parent) && parent.expression === node);
        if (isRead && !declares(tree, node.text)) wrong.push(`${line()} uses ${node.text}`);
      });
    }
    assert.deepEqual(wrong, []);
  });
});

/** Whether the file declares a variable, parameter, function or import of that name. */
function declares(tree: ts.SourceFile, name: string): boolean {
  let found = false;
  walk(tree, (node) => {
    if (
      (ts.isVariableDeclaration(node) ||
        ts.isParameter(node) ||
        ts.isFunctionDeclaration(node) ||
        ts.isImportSpecifier(node)) &&
      node.name?.getText(tree) === name
    )
      found = true;
  });
  return found;
}
