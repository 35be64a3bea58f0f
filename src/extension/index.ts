/** Activation: what the extension registers with VS Code. */
import * as vscode from 'vscode';
import { registerCommands } from './commands';
import { ConfigurationProvider, DEBUG_TYPE, OpenFileConfigurations } from './configuration';
import { ExitHeat } from './exit-heat';
import { registerHover } from './hover';
import { startLanguageProcess } from './language-process';
import { PanelHost } from './panels/host';
import { SessionTracker } from './session';
import { TableTree } from './table-tree';

let stopLanguageClient: (() => Promise<void>) | undefined;

export function activate(context: vscode.ExtensionContext): void {
  const tracker = new SessionTracker();
  const panels = new PanelHost(context.extensionUri, tracker);
  const trees = [
    new TableTree('guest', 'pagewalk.guestTables', tracker),
    new TableTree('shadow', 'pagewalk.shadow', tracker),
    new TableTree('ept', 'pagewalk.ept', tracker),
    new TableTree('npt', 'pagewalk.npt', tracker),
    new TableTree('memslots', 'pagewalk.memslots', tracker),
    new TableTree('host', 'pagewalk.hostMemory', tracker),
  ];
  const { Initial, Dynamic } = vscode.DebugConfigurationProviderTriggerKind;
  context.subscriptions.push(
    tracker,
    panels,
    ...trees,
    registerHover(tracker),
    registerCommands(panels, trees, tracker),
    new ExitHeat(tracker),
    vscode.debug.registerDebugConfigurationProvider(DEBUG_TYPE, new ConfigurationProvider(), Initial),
    vscode.debug.registerDebugConfigurationProvider(DEBUG_TYPE, new OpenFileConfigurations(), Dynamic),
  );
  const client = startLanguageProcess(context, tracker);
  stopLanguageClient = () => client.stop();
}

export function deactivate(): Promise<void> | undefined {
  return stopLanguageClient?.();
}
