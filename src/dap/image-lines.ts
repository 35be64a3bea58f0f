/** The requests about the lines of the running image, whatever became of its sources since; a running guest answers them too. */
import { lineHints } from '../asm/line-hints';
import type { ImageLine } from '../protocol/messages';
import { isElf } from '../session/start';
import type { Handlers } from './requests';

export const imageLineRequests: Handlers<'pagewalk/edited' | 'pagewalk/lines'> = {
  'pagewalk/edited'({ host, client }, { path, text }) {
    const differs = client.edited.edit(host.absolute(client.ourPath(path)), text);
    return { isSource: differs !== undefined, differs: differs === true };
  },

  'pagewalk/lines'({ host, client, target }, { path, from, to }) {
    const file = host.absolute(client.ourPath(path));
    const { image, origin, symbols } = target.program;
    const spans = symbols.linesOf(file).flatMap((span) => {
      const { line, exact } = client.edited.toCurrent(file, span.line);
      return exact && line >= from && line <= to ? [{ ...span, line }] : [];
    });
    const bytes = isElf(image) ? new Uint8Array(0) : image;
    const lines: readonly ImageLine[] = lineHints(spans, bytes, origin, true);
    return { lines };
  },
};
