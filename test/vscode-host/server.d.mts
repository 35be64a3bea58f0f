export interface Server {
  /** The scratch folder that holds all of the server's state. */
  readonly root: string;
  readonly base: string;
  readonly exited: Promise<number | null>;
  /** The workbench's address with `folder` opened. */
  url(folder: string): string;
  stop(options?: { keep?: boolean }): Promise<void>;
}
export function startServer(options?: { vsix?: readonly string[]; settings?: object }): Promise<Server>;
