/**
 * View commands that make the host or the VMM act: they send the adapter what the user could type into the Debug
 * Console (session/host-commands.ts), and the adapter notifies every view to refresh.
 */
import * as vscode from 'vscode';
import type { TreeNode } from '../protocol/messages';
import type { SessionTracker } from './session';

/** A page as the console writes it; undefined: the row is about none. */
const pageOf = (node: TreeNode): string | undefined => node.address && `${node.address.space}:${node.address.value}`;
/** The number of a memslot's row. */
const slotOf = (node: TreeNode): string | undefined => /^memslots\/(\d+)$/.exec(node.id)?.[1];

interface Ask {
  readonly title: string;
  readonly prompt: string;
  readonly placeHolder: string;
  /** An empty input is an answer too. */
  readonly optional?: true;
}
interface HostCommand {
  /** Words before the row's own. */
  readonly words: string;
  readonly about: (node: TreeNode) => string | undefined;
  readonly ask?: Ask;
  /** Words after all others. */
  readonly last?: string;
}

export const HOST_COMMANDS: Readonly<Record<string, HostCommand>> = {
  'pagewalk.host.swapOut': { words: 'host swap-out', about: pageOf },
  'pagewalk.host.migrate': {
    words: 'host migrate',
    about: pageOf,
    ask: {
      title: 'Migrate Page',
      prompt: 'Host physical address to move to; leave empty for any free frame.',
      placeHolder: '0x10000d000',
      optional: true,
    },
  },
  'pagewalk.host.merge': {
    words: 'host merge',
    about: pageOf,
    ask: {
      title: 'Merge Page',
      prompt: 'The other page, with the same content: a guest physical address, or hva: and an address.',
      placeHolder: '0x301000',
    },
  },
  'pagewalk.host.collapse': { words: 'host collapse', about: pageOf },
  'pagewalk.host.split': { words: 'host split', about: pageOf },
  'pagewalk.host.balloon': { words: 'host balloon', about: pageOf },
  'pagewalk.host.deflate': { words: 'host deflate', about: pageOf },
  'pagewalk.memslot.move': {
    words: 'memslot move',
    about: slotOf,
    ask: { title: 'Move Memslot', prompt: 'Guest physical address to move to.', placeHolder: '0x8000000' },
  },
  'pagewalk.memslot.delete': { words: 'memslot delete', about: slotOf },
  'pagewalk.memslot.readonly': { words: 'memslot readonly', about: slotOf, last: 'on' },
  'pagewalk.memslot.writable': { words: 'memslot readonly', about: slotOf, last: 'off' },
  'pagewalk.memslot.log': { words: 'memslot log', about: slotOf, last: 'on' },
  'pagewalk.memslot.unlog': { words: 'memslot log', about: slotOf, last: 'off' },
};

/** Sends `command` for a row, and shows the outcome: the last line that the console would print. */
export async function runHostCommand(tracker: SessionTracker, id: string, node: TreeNode | undefined): Promise<void> {
  const command = HOST_COMMANDS[id];
  const about = node && command?.about(node);
  if (!command || about === undefined) return;
  const typed = command.ask && (await vscode.window.showInputBox(command.ask));
  if (command.ask && (typed === undefined || (typed.trim() === '' && command.ask.optional !== true))) return;
  const words = [command.words, about, typed?.trim() ?? '', command.last ?? ''].filter((w) => w !== '').join(' ');
  try {
    const { result } = (await tracker.session?.customRequest('evaluate', { expression: words, context: 'repl' })) as {
      readonly result: string;
    };
    vscode.window.setStatusBarMessage(`Pagewalk: ${result.split('\n').at(-1) ?? ''}`, 10_000);
  } catch (error) {
    await vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error));
  }
}

/** Asks where to, and writes the pagemap there: JSON for a name that ends so, else text. */
export async function savePagemap(tracker: SessionTracker): Promise<void> {
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
  const target = await vscode.window.showSaveDialog({
    ...(folder ? { defaultUri: vscode.Uri.joinPath(folder, 'pagemap.txt') } : {}),
    filters: { Text: ['txt'], JSON: ['json'] },
    title: 'Save Pagemap',
  });
  if (!target) return;
  try {
    const format = target.path.endsWith('.json') ? 'json' : 'text';
    const { text, pages } = await tracker.request('pagewalk/pagemap', { format });
    await vscode.workspace.fs.writeFile(target, new TextEncoder().encode(text));
    vscode.window.setStatusBarMessage(`Pagewalk: ${pages} pages written`, 10_000);
  } catch (error) {
    await vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error));
  }
}
