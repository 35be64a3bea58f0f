/**
 * The requests about the lines of the running image, even if its sources have changed since; they also work while the
 * guest is running.
 */
import { lineHints } from '../asm/line-hints';
import type { ImageLine } from '../protocol/messages';
import { isElf } from '../session/launch/start';
import { fileOf } from './breakpoints';
import type { Handlers } from './requests';

export const imageLineRequests: Handlers<'pagewalk/edited' | 'pagewalk/lines'> = {
  'pagewalk/edited'(adapter, { path, text }) {
    const differs = adapter.client.edited.edit(fileOf(adapter, { path }), text);
    return { isSource: differs !== undefined, differs: differs === true };
  },

  'pagewalk/lines'(adapter, { path, from, to }) {
    const { client, target } = adapter;
    const file = fileOf(adapter, { path });
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
