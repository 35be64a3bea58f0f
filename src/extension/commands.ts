/** The commands that are not a view's own. */
import * as vscode from 'vscode';
import { parseCondition } from '../expr/index';
import type { MachineEvent, TreeNode } from '../protocol/messages';
import { PANELS } from '../protocol/panels';
import { configurationFor, runnableFile } from './configuration';
import { toggleHeat } from './exit-heat';
import { HOST_COMMANDS, runHostCommand, savePagemap } from './host-commands';
import type { PanelHost } from './panels/host';
import type { SessionTracker } from './session';
import type { TableTree, TreeItem } from './table-tree';

type Reason = readonly [label: string, description: string];
/** Exit reasons worth offering by name (SDM vol. 3, appendix C; APM vol. 2, appendix C); any other may be typed into Function Breakpoints. */
const VMX_REASONS: readonly Reason[] = [
  ['IO_INSTRUCTION', 'IN, OUT, INS, OUTS'],
  ['CR_ACCESS', 'MOV to or from a control register'],
  ['CPUID', 'CPUID always exits'],
  ['MSR_READ', 'RDMSR'],
  ['MSR_WRITE', 'WRMSR'],
  ['HLT', 'the guest halts'],
  ['INVLPG', 'where it is intercepted'],
  ['VMCALL', 'a hypercall'],
  ['EXCEPTION_NMI', 'an exception that the bitmap intercepts, or an NMI; under shadow paging every #PF'],
  ['TRIPLE_FAULT', 'the guest cannot deliver an exception'],
];
const REASONS: Readonly<Record<Exclude<MachineEvent['mmu'], 'software'>, readonly Reason[]>> = {
  ept: [
    ['EPT_VIOLATION', 'a guest physical address has no EPT entry that allows the access'],
    ['EPT_MISCONFIG', 'an EPT entry is malformed: how KVM marks MMIO'],
    ...VMX_REASONS,
  ],
  shadow: VMX_REASONS,
  npt: [
    ['NPF', 'a guest physical address has no nested entry that allows the access'],
    ['IOIO', 'IN, OUT, INS, OUTS'],
    ['CPUID', 'CPUID, which KVM intercepts'],
    ['MSR', 'RDMSR and WRMSR'],
    ['HLT', 'the guest halts'],
    ['VMMCALL', 'a hypercall'],
    ['VINTR', 'the guest can take an interrupt'],
    ['SHUTDOWN', 'the guest cannot deliver an exception'],
  ],
};

async function debug(resource: vscode.Uri | undefined, options: vscode.DebugSessionOptions): Promise<void> {
  const file = await runnableFile(resource);
  if (!file) return;
  await vscode.debug.startDebugging(vscode.workspace.getWorkspaceFolder(file), configurationFor(file), options);
}

/** What is wrong with a condition as it is typed: its form, and where a guest runs its names, as the adapter will say of the breakpoint. */
async function conditionProblem(tracker: SessionTracker, name: string, condition: string): Promise<string | undefined> {
  const parsed = parseCondition(condition);
  if (!parsed.ok) return parsed.error.map(({ message }) => message).join('; ');
  return tracker.problemOf({ name, condition }).catch(() => undefined); // the session has just ended
}

async function breakOnExit(tracker: SessionTracker): Promise<void> {
  const { mmu = 'ept' } = tracker;
  if (mmu === 'software') {
    await vscode.window.showInformationMessage('With mmu=software there are no VM exits: the VMM emulates the CPU.');
    return;
  }
  const offered = REASONS[mmu].map(([label, description]) => ({ label, description }));
  const picked = await vscode.window.showQuickPick(offered, { title: 'Break on VM exit', placeHolder: 'Exit reason' });
  if (!picked) return;
  const name = `exit:${picked.label}`;
  const condition = await vscode.window.showInputBox({
    title: `Break on ${picked.label}`,
    prompt: 'Condition; leave empty to stop every time. You can edit it later in the Breakpoints view.',
    placeHolder: 'write && gpa >= 0x5000',
    validateInput: (text) => conditionProblem(tracker, name, text),
  });
  if (condition === undefined) return;
  vscode.debug.addBreakpoints([new vscode.FunctionBreakpoint(name, true, condition || undefined)]);
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
    'pagewalk.breakOnExit': () => breakOnExit(tracker),
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
