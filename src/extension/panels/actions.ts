/** What a panel may request outside itself. */
import * as vscode from 'vscode';
import { assertUnreachable } from '../../base/assert';
import type { Space } from '../../base/address';
import type { Action, PanelCommand, PanelId } from '../../protocol/panels';
import type { SessionTracker } from '../session';

/** The panels, for one that sends the user to another. */
interface Panels {
  show(id: PanelId, command?: PanelCommand): Promise<void>;
}

export async function act(action: Action, tracker: SessionTracker, panels: Panels): Promise<void> {
  switch (action.kind) {
    case 'debug':
      await vscode.commands.executeCommand('pagewalk.debugFile');
      return;
    case 'copy':
      return vscode.env.clipboard.writeText(action.text);
    case 'open-source':
      return openSource(action.path, action.line, action.keepFocus === true);
    case 'open-memory':
      return openMemory(tracker, action.space, action.address);
    case 'open-panel':
      return panels.show(action.panel, action.command);
    case 'save':
      return save(action.name, action.text);
    case 'follow-cursor':
      return vscode.workspace
        .getConfiguration('pagewalk')
        .update('translation.followCursor', action.on, vscode.ConfigurationTarget.Global);
    default:
      assertUnreachable(action);
  }
}

/** Where the file is already visible; otherwise beside the panel, never over it. */
async function openSource(path: string, line: number, preserveFocus: boolean): Promise<void> {
  const selection = new vscode.Range(line - 1, 0, line - 1, 0);
  const seen = vscode.window.visibleTextEditors.find(({ document }) => document.uri.fsPath === path);
  const viewColumn = seen?.viewColumn ?? vscode.ViewColumn.One;
  await vscode.window.showTextDocument(vscode.Uri.file(path), { selection, preview: true, viewColumn, preserveFocus });
}

/** As VS Code's own "View Binary Data" spells a memory reference (vscode-debug-memory:). */
async function openMemory(tracker: SessionTracker, space: Space, address: string): Promise<void> {
  const { session } = tracker;
  if (!session) return;
  const reference = space === 'gva' ? address : `${space}:${address}`;
  const uri = vscode.Uri.from({
    scheme: 'vscode-debug-memory',
    authority: session.id,
    path: `/${encodeURIComponent(reference)}/memory.bin`,
  });
  try {
    await vscode.commands.executeCommand('vscode.openWith', uri, 'hexEditor.hexedit');
  } catch {
    await vscode.window.showInformationMessage('To view memory, install the extension “Hex Editor” by Microsoft.');
  }
}

async function save(name: string, text: string): Promise<void> {
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
  const target = await vscode.window.showSaveDialog(
    folder ? { defaultUri: vscode.Uri.joinPath(folder, name) } : { title: name },
  );
  if (target) await vscode.workspace.fs.writeFile(target, new TextEncoder().encode(text));
}
