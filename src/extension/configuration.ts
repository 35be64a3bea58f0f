/** Launch configurations: none is needed for an assembly file, and an incomplete one is completed. */
import { open } from 'node:fs/promises';
import { basename, isAbsolute, join } from 'node:path';
import * as vscode from 'vscode';
import { REPORTS_PROBLEMS } from '../protocol/messages';
import { guestFile } from './guest-files';
import { COMPILED_LANGUAGES } from './guest-languages';

export const DEBUG_TYPE = 'pagewalk';

export function configurationFor(file: vscode.Uri): vscode.DebugConfiguration {
  return {
    type: DEBUG_TYPE,
    request: 'launch',
    name: `Debug ${vscode.workspace.asRelativePath(file)}`,
    program: file.fsPath,
  };
}

/** What the settings say and the launch configuration leaves open. An untrusted workspace cannot set these settings. */
function fromSettings(
  config: vscode.DebugConfiguration,
  folder: vscode.WorkspaceFolder | undefined,
): vscode.DebugConfiguration {
  const settings = vscode.workspace.getConfiguration('pagewalk', folder);
  const assembler: unknown = config['assembler'] ?? setByUser(settings, 'assembler');
  const path = assembler === 'nasm' ? settings.get<string>('nasmPath') : undefined;
  const define = [...settings.get<string[]>('define', []), ...listOf(config['define'])];
  const warning = [...settings.get<string[]>('warning', []), ...listOf(config['warning'])];
  const root = folder ?? vscode.workspace.workspaceFolders?.[0];
  const folders = settings
    .get<string[]>('include', [])
    .map((each) => (root && !isAbsolute(each) ? join(root.uri.fsPath, each) : each));
  // Those of the launch configuration are searched first.
  const include = [...listOf(config['include']), ...folders];
  return {
    ...config,
    ...(assembler === undefined ? {} : { assembler }),
    ...(path === undefined || path === 'nasm' ? {} : { assemblerPath: path }),
    ...(define.length > 0 ? { define } : {}),
    ...(warning.length > 0 ? { warning } : {}),
    ...(include.length > 0 ? { include } : {}),
    // What the guest includes must lie in one of these.
    workspaceFolders: (vscode.workspace.workspaceFolders ?? []).map(({ uri }) => uri.fsPath),
    [REPORTS_PROBLEMS]: true,
  };
}

/** A field that holds one text or a list of them; the adapter reports anything else. */
const listOf = (value: unknown): unknown[] => (value === undefined ? [] : Array.isArray(value) ? value : [value]);

/** The setting's value where it is not the default: only then does it outrank the guest file's own `@guest` line. */
function setByUser(settings: vscode.WorkspaceConfiguration, key: string): unknown {
  const found = settings.inspect(key);
  return found?.workspaceFolderValue ?? found?.workspaceValue ?? found?.globalValue;
}

/** The saved guest that is meant, or undefined after a message that says what to do. Nobody waits for that message to be closed. */
export async function runnableFile(resource?: vscode.Uri): Promise<vscode.Uri | undefined> {
  const file = guestFile(resource) ?? (await elfInActiveTab());
  if (file && file.scheme !== 'untitled') return file;
  if (file) void askToSave();
  else void vscode.window.showErrorMessage(whatToDo(vscode.window.activeTextEditor?.document));
  return undefined;
}

function whatToDo(document: vscode.TextDocument | undefined): string {
  const compiler = COMPILED_LANGUAGES.get(document?.languageId ?? '');
  if (!document || compiler === undefined)
    return 'Open an assembly file or an ELF, then press F5 to run it as a guest.';
  const name = basename(document.fileName);
  const output = `${name.replace(/\.\w+$/, '')}.elf`;
  return `Pagewalk runs the ELF file that a compiler makes from ${name}: build it, for example with \`${compiler} -g -static -nostdlib -ffreestanding -o ${output} ${name}\`, and name ${output} as "program" in launch.json. Breakpoints in ${name} then bind.`;
}

/** VS Code has no text document of a binary file: its tab names it. */
async function elfInActiveTab(): Promise<vscode.Uri | undefined> {
  const input: unknown = vscode.window.tabGroups.activeTabGroup.activeTab?.input;
  const uri = input instanceof vscode.TabInputText || input instanceof vscode.TabInputCustom ? input.uri : undefined;
  return uri?.scheme === 'file' && (await isElf(uri.fsPath)) ? uri : undefined;
}

async function isElf(path: string): Promise<boolean> {
  try {
    const file = await open(path, 'r');
    try {
      const { buffer } = await file.read(Buffer.alloc(4), 0, 4, 0);
      return buffer.toString('latin1') === '\x7fELF';
    } finally {
      await file.close();
    }
  } catch {
    return false; // gone or unreadable: not a guest to offer
  }
}

async function askToSave(): Promise<void> {
  const save = 'Save As…';
  const message = 'Save the file first: the debug adapter reads guests from disk.';
  if ((await vscode.window.showErrorMessage(message, save)) === save)
    await vscode.commands.executeCommand('workbench.action.files.saveAs');
}

/** The template of a new launch.json is package.json's `initialConfigurations`. */
export class ConfigurationProvider implements vscode.DebugConfigurationProvider {
  async resolveDebugConfiguration(
    folder: vscode.WorkspaceFolder | undefined,
    config: vscode.DebugConfiguration,
  ): Promise<vscode.DebugConfiguration | undefined> {
    if (config['program']) return fromSettings(config, folder);
    const file = await runnableFile();
    if (!file) return undefined;
    // F5 without launch.json: VS Code passes an empty configuration.
    const isEmpty = !config.type && !config.request && !config.name;
    return fromSettings({ ...config, ...(isEmpty ? configurationFor(file) : { program: file.fsPath }) }, folder);
  }
}

/** Offers the open assembly file in the Run and Debug menu. */
export class OpenFileConfigurations implements vscode.DebugConfigurationProvider {
  provideDebugConfigurations(): vscode.DebugConfiguration[] {
    const file = guestFile();
    return file && file.scheme === 'file' ? [configurationFor(file)] : [];
  }
}
