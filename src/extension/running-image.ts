/**
 * The sources of running guests, which may be edited meanwhile. The adapter gets their current text, so stops,
 * breakpoints and hints of the running image stay at its own lines; a notice offers a restart. Nothing waits for that
 * notice.
 */
import { basename } from 'node:path';
import * as vscode from 'vscode';
import type { EditedReply, LinesReply, MachineEvent } from '../protocol/messages';
import { EDIT_ACTIONS, EditPeriod, editNotice } from './edit-notice';
import type { SessionTracker } from './session';

/** Edits closer together than this count as one. */
const SETTLE_MS = 150;
/** Less than any version of a document. */
const NEVER = -1;

interface Image {
  readonly session: vscode.DebugSession;
  readonly isAssembled: boolean;
  readonly files: ReadonlySet<string>;
  readonly period: EditPeriod;
  /** The version that the adapter has of each document which may not be what was assembled. */
  readonly sent: Map<string, number>;
}

export class RunningImages implements vscode.Disposable {
  private readonly images = new Map<string, Image>();
  private readonly settling = new Map<string, ReturnType<typeof setTimeout>>();
  private readonly changed = new vscode.EventEmitter<void>();
  private readonly subscriptions: vscode.Disposable[];
  /** Another image runs, or none. */
  readonly onDidChange = this.changed.event;

  constructor(tracker: SessionTracker) {
    this.subscriptions = [
      this.changed,
      tracker.onDidLaunch(({ session, machine }) => this.launched(session, machine)),
      vscode.workspace.onDidChangeTextDocument(({ document }) => this.later(document)),
      // something else may have written it meanwhile
      vscode.workspace.onDidOpenTextDocument((document) => this.later(document)),
      vscode.debug.onDidChangeActiveDebugSession(() => this.changed.fire()),
      vscode.debug.onDidTerminateDebugSession(({ id }) => {
        if (this.images.delete(id)) this.changed.fire();
      }),
    ];
  }

  dispose(): void {
    for (const timer of this.settling.values()) clearTimeout(timer);
    for (const each of this.subscriptions) each.dispose();
  }

  /** Addresses and bytes that lines became in the image of the active session; undefined if the document is not one of its sources. */
  async lines(document: vscode.TextDocument, { start, end }: vscode.Range): Promise<LinesReply['lines'] | undefined> {
    const image = this.images.get(vscode.debug.activeDebugSession?.id ?? '');
    const path = document.uri.fsPath;
    if (!image?.files.has(path)) return undefined;
    await this.tell(image, document);
    const args = { path, from: start.line + 1, to: end.line + 1 };
    return ((await image.session.customRequest('pagewalk/lines', args)) as LinesReply).lines;
  }

  private launched(session: vscode.DebugSession, { files, assembled }: MachineEvent): void {
    const image: Image = {
      session,
      isAssembled: assembled,
      files: new Set(files),
      period: new EditPeriod(),
      sent: new Map(),
    };
    this.images.set(session.id, image);
    // unsaved text was not assembled
    for (const document of vscode.workspace.textDocuments) if (document.isDirty) this.later(document);
    this.changed.fire();
  }

  private later(document: vscode.TextDocument): void {
    const path = document.uri.fsPath;
    const images = [...this.images.values()].filter(({ files }) => files.has(path));
    if (document.uri.scheme !== 'file' || images.length === 0) return;
    for (const { sent } of images) if (!sent.has(path)) sent.set(path, NEVER);
    clearTimeout(this.settling.get(path));
    const settled = (): void => {
      this.settling.delete(path);
      for (const image of images) void this.tell(image, document).catch(() => undefined); // it has ended
    };
    this.settling.set(path, setTimeout(settled, SETTLE_MS));
  }

  /** Sends the adapter the document's text if its copy differs. */
  private async tell(image: Image, document: vscode.TextDocument): Promise<void> {
    const { session, period, sent } = image;
    const path = document.uri.fsPath;
    const known = sent.get(path);
    if (known === undefined || known === document.version || this.images.get(session.id) !== image) return;
    sent.set(path, document.version);
    const args = { path, text: document.getText() };
    const { differs } = (await session.customRequest('pagewalk/edited', args)) as EditedReply;
    if (this.images.get(session.id) !== image) return;
    if (period.note(path, differs) && session.configuration['noDebug'] !== true) void this.offerRestart(image, path);
  }

  private async offerRestart(image: Image, path: string): Promise<void> {
    const { id } = image.session;
    const message = editNotice(path, image.isAssembled, basename);
    const chosen = await vscode.window.showWarningMessage(message, ...EDIT_ACTIONS);
    if (chosen !== 'Restart' || this.images.get(id) !== image) return;
    // the adapter reads guests from disk
    const edited = vscode.workspace.textDocuments.filter((each) => each.isDirty && image.files.has(each.uri.fsPath));
    for (const document of edited) await document.save();
    await vscode.commands.executeCommand('workbench.action.debug.restart', '', { sessionId: id });
  }
}
