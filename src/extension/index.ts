/** Activation: what the extension registers with VS Code. */
import * as vscode from 'vscode';
import { AdapterProcess } from './adapter-process';
import { registerCommands } from './commands';
import { ConfigurationProvider, DEBUG_TYPE, OpenFileConfigurations } from './configuration';
import { ExitHeat } from './exit-heat';
import { registerHover, SERVED_LANGUAGE } from './hover';
import { LaunchProblems } from './launch-problems';
import { PanelHost } from './panels/host';
import { RunningImages } from './running-image';
import { SessionTracker } from './session';
import { TableTree } from './table-tree';

/** The language client: loaded, and its server started, once an assembly file is open. */
let language: Promise<{ stop(): Promise<void> }> | undefined;

export function activate(context: vscode.ExtensionContext): void {
  const tracker = new SessionTracker();
  const images = new RunningImages(tracker);
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
    images,
    panels,
    ...trees,
    registerHover(tracker),
    registerCommands(panels, trees, tracker),
    new ExitHeat(tracker),
    new LaunchProblems(tracker),
    vscode.debug.registerDebugAdapterDescriptorFactory(DEBUG_TYPE, new AdapterProcess()),
    vscode.debug.registerDebugConfigurationProvider(DEBUG_TYPE, new ConfigurationProvider(), Initial),
    vscode.debug.registerDebugConfigurationProvider(DEBUG_TYPE, new OpenFileConfigurations(), Dynamic),
  );
  const serve = ({ languageId }: vscode.TextDocument): void => {
    if (languageId !== SERVED_LANGUAGE || language) return;
    language = import('./language-process').then((module) => module.startLanguageProcess(context, { tracker, images }));
  };
  context.subscriptions.push(vscode.workspace.onDidOpenTextDocument(serve));
  vscode.workspace.textDocuments.forEach(serve);
}

export async function deactivate(): Promise<void> {
  await (await language)?.stop();
}
