/** The words of the notification about a guest that could not be launched. */
import type { Problem, ProblemsEvent } from '../protocol/messages';

export type LaunchAction = 'Show Problems' | 'Go to First' | 'Go to Error' | 'Open launch.json';
export interface Announcement {
  readonly message: string;
  readonly actions: readonly LaunchAction[];
}

const isError = ({ severity }: Problem): boolean => severity === 'error';
const describe = ({ code, message }: Problem): string => `${code}: ${message}`;

/** `nameOf` shortens a path. */
export function announcement({ problems, errors }: ProblemsEvent, nameOf: (path: string) => string): Announcement {
  const located = problems.filter((each) => isError(each) && each.range !== undefined);
  const [first] = located;
  if (first?.path !== undefined) {
    const files = new Set(located.map(({ path }) => path));
    const where = files.size === 1 ? nameOf(first.path) : `${nameOf(first.path)} and ${filesMore(files.size - 1)}`;
    if (errors > 1)
      return {
        message: `The guest was not started: ${errors} errors in ${where}.`,
        actions: ['Show Problems', 'Go to First'],
      };
    const at = `${nameOf(first.path)}:${first.range?.line}`;
    return {
      message: `The guest was not started. ${at}: ${describe(first)}`,
      actions: ['Show Problems', 'Go to Error'],
    };
  }
  const text = problems
    .filter(isError)
    .map((each) => (each.path === undefined ? describe(each) : `${nameOf(each.path)}: ${describe(each)}`))
    .join(' · ');
  const isConfiguration = problems.some((each) => isError(each) && each.path === undefined);
  return { message: `The guest was not started. ${text}`, actions: isConfiguration ? ['Open launch.json'] : [] };
}

const filesMore = (count: number): string => (count === 1 ? '1 more file' : `${count} more files`);
