/** Launch configurations: none is needed for an assembly file, and an incomplete one is completed. */
import { isAbsolute, join } from 'node:path';
import * as vscode from 'vscode';
import { guestFile } from './guest-files';

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
  };
}

/** A field that holds one text or a list of them; anything else is told by the adapter. */
const listOf = (value: unknown): unknown[] => (value === undefined ? [] : Array.isArray(value) ? value : [value]);

/** The setting's value where it is not the default: only then does it outrank the guest file's own `@guest` line. */
function setByUser(settings: vscode.WorkspaceConfiguration, key: string): unknown {
  const found = settings.inspect(key);
  return found?.workspaceFolderValue ?? found?.workspaceValue ?? found?.globalValue;
}

export class ConfigurationProvider implements vscode.DebugConfigurationProvider {
  provideDebugConfigurations(): vscode.DebugConfiguration[] {
    return [{ type: DEBUG_TYPE, request: 'launch', name: 'Debug guest', program: '${file}' }];
  }

  resolveDebugConfiguration(
    folder: vscode.WorkspaceFolder | undefined,
    config: vscode.DebugConfiguration,
  ): vscode.ProviderResult<vscode.DebugConfiguration> {
    // F5 without launch.json: VS Code passes an empty configuration.
    if (!config.type && !config.request && !config.name) {
      const file = guestFile();
      if (!file) return this.refuse('Open an assembly file, then press F5 to run it as a guest.');
      if (file.scheme === 'untitled')
        return this.refuse('Save the file first: the debug adapter reads guests from disk.');
      return fromSettings({ ...config, ...configurationFor(file) }, folder);
    }
    if (!config['program']) {
      const file = guestFile();
      if (!file)
        return this.refuse(
          'The launch configuration names no "program": give the assembly file or image to run as a guest.',
        );
      return fromSettings({ ...config, program: file.fsPath }, folder);
    }
    return fromSettings(config, folder);
  }

  private async refuse(message: string): Promise<undefined> {
    await vscode.window.showErrorMessage(message, { modal: false });
    return undefined;
  }
}

/** Offers the open assembly file in the Run and Debug menu. */
export class OpenFileConfigurations implements vscode.DebugConfigurationProvider {
  provideDebugConfigurations(): vscode.DebugConfiguration[] {
    const file = guestFile();
    return file && file.scheme === 'file' ? [configurationFor(file)] : [];
  }
}
