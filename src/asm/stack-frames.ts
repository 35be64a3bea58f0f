import type { Token } from './lexer';
import { numberTokens } from './token-text';

/** What `%stacksize` says of a stack: the size of a slot in bytes, the frame register, where the first argument lies. */
interface StackModel {
  readonly slot: number;
  readonly frame: string;
  readonly firstArgument: number;
}

const MODELS: Readonly<Record<string, StackModel>> = {
  flat: { slot: 4, frame: 'ebp', firstArgument: 8 },
  flat64: { slot: 8, frame: 'rbp', firstArgument: 16 },
  large: { slot: 2, frame: 'bp', firstArgument: 4 },
  small: { slot: 2, frame: 'bp', firstArgument: 6 },
};
const SIZES: Readonly<Record<string, number>> = {
  byte: 1,
  word: 2,
  dword: 4,
  qword: 8,
  tword: 10,
  oword: 16,
  yword: 32,
};

/** A name for a place in the frame: what `[name]` addresses. */
export interface StackName {
  readonly name: string;
  readonly body: readonly Token[];
}

/** `%stacksize`, `%arg` and `%local` (NASM manual, 4.8): names for what lies above and below the frame pointer. */
export class StackFrames {
  private model: StackModel = { slot: 4, frame: 'ebp', firstArgument: 8 };
  private nextArgument = 8;
  private localBytes = 0;

  /** @returns whether there is such a model */
  setModel(name: string): boolean {
    const model = MODELS[name.toLowerCase()];
    if (!model) return false;
    this.model = model;
    this.nextArgument = model.firstArgument;
    this.localBytes = 0;
    return true;
  }

  /** `name:size, name:size …` above the frame pointer. Undefined if the list is malformed. */
  arguments(tokens: readonly Token[]): readonly StackName[] | undefined {
    return this.list(tokens)?.map(({ name, bytes }) => {
      const at = this.nextArgument;
      this.nextArgument += bytes;
      return { name: name.text, body: this.place(name, BigInt(at)) };
    });
  }

  /** The same below it, with the bytes that `%$localsize` grows by. */
  locals(tokens: readonly Token[]): { readonly names: readonly StackName[]; readonly bytes: number } | undefined {
    const before = this.localBytes;
    const names = this.list(tokens)?.map(({ name, bytes }) => {
      this.localBytes += bytes;
      return { name: name.text, body: this.place(name, BigInt(-this.localBytes)) };
    });
    return names && { names, bytes: this.localBytes - before };
  }

  private list(tokens: readonly Token[]): { name: Token; bytes: number }[] | undefined {
    const out: { name: Token; bytes: number }[] = [];
    for (let i = 0; i < tokens.length; i += 4) {
      const [name, colon, size, comma] = tokens.slice(i, i + 4);
      const bytes = SIZES[size?.text.toLowerCase() ?? ''];
      if (name?.kind !== 'word' || colon?.text !== ':' || bytes === undefined) return undefined;
      out.push({ name, bytes: Math.ceil(bytes / this.model.slot) * this.model.slot });
      // TASM writes `= size` after the last one; NASM ignores it.
      if (comma?.text === '=') break;
      if (comma && comma.text !== ',') return undefined;
    }
    return out.length > 0 ? out : undefined;
  }

  /** `(ebp+8)` */
  private place(at: Token, offset: bigint): Token[] {
    const mark = (text: string): Token => ({ ...at, kind: 'punctuation', text, spaced: false });
    const number = numberTokens(offset, { ...at, spaced: false });
    return [
      mark('('),
      { ...at, kind: 'word', text: this.model.frame, spaced: false },
      ...(offset < 0n ? [] : [mark('+')]),
      ...number,
      mark(')'),
    ];
  }
}
