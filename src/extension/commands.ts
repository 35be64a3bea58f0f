/** The commands that are not a view's own. */
import * as vscode from 'vscode';
import type { TreeNode } from '../protocol/messages';
import { PANELS } from '../protocol/panels';
import { configurationFor } from './configuration';
import { toggleHeat } from './exit-heat';
import { guestFile } from './guest-files';
import { HOST_COMMANDS, runHostCommand, savePagemap } from './host-commands';
import type { PanelHost } from './panels/host';
import type { SessionTracker } from './session';
import type { TableTree, TreeItem } from './table-tree';

/** Exit reasons worth offering by name (SDM vol. 3, appendix C); any other may be typed into Function Breakpoints. */
const EXIT_REASONS = [
  { label: 'EPT_VIOLATION', description: 'a guest physical address has no EPT entry that allows the access' },
  { label: 'EPT_MISCONFIG', description: 'an EPT entry is malformed: how KVM marks MMIO' },
  { label: 'IO_INSTRUCTION', description: 'IN, OUT, INS, OUTS' },
  { label: 'CR_ACCESS', description: 'MOV to or from a control register' },
  { label: 'CPUID', description: 'CPUID always exits' },
  { label: 'MSR_READ', description: 'RDMSR' },
  { label: 'MSR_WRITE', description: 'WRMSR' },
  { label: 'HLT', description: 'the guest halts' },
  { label: 'INVLPG', description: 'where it is intercepted' },
  { label: 'VMCALL', description: 'a hypercall' },
  { label: 'EXCEPTION_NMI', description: 'an exception that the bitmap intercepts, or an NMI' },
  { label: 'TRIPLE_FAULT', description: 'the guest cannot deliver an exception' },
] as const;

async function debug(resource: vscode.Uri | undefined, options: vscode.DebugSessionOptions): Promise<void> {
  const file = guestFile(resource);
  if (!file) {
    await vscode.window.showErrorMessage('Open an assembly file to run it as a guest.');
    return;
  }
  await vscode.debug.startDebugging(vscode.workspace.getWorkspaceFolder(file), configurationFor(file), options);
}

async function breakOnExit(): Promise<void> {
  const picked = await vscode.window.showQuickPick(EXIT_REASONS, {
    title: 'Break on VM exit',
    placeHolder: 'Exit reason',
  });
  if (!picked) return;
  const condition = await vscode.window.showInputBox({
    title: `Break on ${picked.label}`,
    prompt: 'Condition, or nothing to stop each time. The Breakpoints view edits it later.',
    placeHolder: 'write && gpa >= 0x5000',
  });
  if (condition === undefined) return;
  vscode.debug.addBreakpoints([new vscode.FunctionBreakpoint(`exit:${picked.label}`, true, condition || undefined)]);
}

export function registerCommands(
  panels: PanelHost,
  trees: readonly TableTree[],
  tracker: SessionTracker,
): vscode.Disposable {
  const nodeOf = (item: TreeItem | undefined): TreeNode | undefined => (item?.kind === 'node' ? item.node : undefined);
  const copy = async (text: string | undefined): Promise<void> => {
    if (text !== undefined) await vscode.env.clipboard.writeText(text);
  };
  const commands: Readonly<Record<string, (...args: never[]) => unknown>> = {
    'pagewalk.debugFile': (resource?: vscode.Uri) => debug(resource, { noDebug: false }),
    'pagewalk.runFile': (resource?: vscode.Uri) => debug(resource, { noDebug: true }),
    'pagewalk.toggleExitHeat': () => toggleHeat(),
    'pagewalk.translate': () => panels.show('translation'),
    'pagewalk.translateNode': (item?: TreeItem) => {
      const address = nodeOf(item)?.address;
      return (
        address &&
        panels.show('translation', {
          kind: 'translate',
          expression: address.value,
          space: address.space,
          access: 'r',
        })
      );
    },
    'pagewalk.copyAddress': (item?: TreeItem) => copy(nodeOf(item)?.address?.value),
    'pagewalk.copyValue': (item?: TreeItem) => copy(nodeOf(item)?.value ?? nodeOf(item)?.label),
    'pagewalk.refresh': () => trees.forEach((tree) => tree.refresh()),
    'pagewalk.showMore': (tree: TableTree, parent: TreeNode | undefined) => tree.showMore(parent),
    'pagewalk.breakOnExit': () => breakOnExit(),
    'pagewalk.savePagemap': () => savePagemap(tracker),
    ...Object.fromEntries(
      Object.keys(HOST_COMMANDS).map((id) => [id, (item?: TreeItem) => runHostCommand(tracker, id, nodeOf(item))]),
    ),
    ...Object.fromEntries(PANELS.map(({ id, view }) => [`${view}.openInEditor`, () => panels.openInEditor(id)])),
  };
  return vscode.Disposable.from(
    ...Object.entries(commands).map(([id, run]) =>
      vscode.commands.registerCommand(id, run as (...args: unknown[]) => unknown),
    ),
  );
}
