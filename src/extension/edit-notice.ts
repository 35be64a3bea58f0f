/** When the user is notified that sources were edited while their guest runs, and with which text. */

export const EDIT_ACTIONS = ['Restart', 'Keep Running Image'] as const;

/** `nameOf` shortens a path. `isAssembled`: by Pagewalk, at each start; otherwise the user must build it. */
export function editNotice(path: string, isAssembled: boolean, nameOf: (path: string) => string): string {
  const name = nameOf(path);
  return isAssembled
    ? `${name} has changed since the guest was assembled. The guest keeps running the image that it was started with.`
    : `${name} has changed since the guest was started. To run the change, build the guest and restart it.`;
}

/**
 * From the first relevant edit until all sources are as they were again, or another image runs: the notice appears
 * once in that time.
 */
export class EditPeriod {
  private readonly differing = new Set<string>();
  private shown = false;

  /** Whether to show the notice now. */
  note(path: string, differs: boolean): boolean {
    if (differs) this.differing.add(path);
    else this.differing.delete(path);
    if (this.differing.size === 0) this.shown = false;
    const isFirst = differs && !this.shown;
    if (isFirst) this.shown = true;
    return isFirst;
  }
}
