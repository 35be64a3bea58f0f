/**
 * Starts the debug adapter and announces what it will launch: VS Code reads the names of exception filters before
 * that.
 */
import * as vscode from 'vscode';

export class AdapterProcess implements vscode.DebugAdapterDescriptorFactory {
  createDebugAdapterDescriptor(
    { configuration }: vscode.DebugSession,
    executable: vscode.DebugAdapterExecutable | undefined,
  ): vscode.DebugAdapterDescriptor | undefined {
    if (!executable) return undefined;
    const known = (['program', 'mmu'] as const).flatMap((key) => {
      const value: unknown = configuration[key];
      return typeof value === 'string' ? [`--${key}=${value}`] : [];
    });
    return new vscode.DebugAdapterExecutable(executable.command, [...executable.args, ...known], executable.options);
  }
}
