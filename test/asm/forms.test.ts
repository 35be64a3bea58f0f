import assert from 'node:assert';
import { assemble } from '../../src/asm/index';
import { combinations } from './combinations';
import { reasonFor } from './known-differences';
import { needsNasm, nasmSlots, slotHex, slotOfLine, slotted } from './native';

/**
 * Every instruction form of the table in every mode, with operands of each kind that it takes, against native nasm. Where the bytes are not
 * the same the mnemonic stands in known-differences with the reason; a difference without one is a failure.
 */
describe('asm: every instruction form', () => {
  for (const bits of [16, 32, 64] as const) {
    it(`is encoded as nasm encodes it, or the reason is known: ${bits}-bit mode`, function () {
      needsNasm(this);
      this.timeout(300_000);
      const forms = combinations(bits, () => true);
      const all = [...new Set(forms.flatMap((f) => f.texts))];
      const theirs = new Map(nasmSlots(bits, all).map((hex, i) => [all[i] ?? '', hex]));
      // A name that nasm does not know is a label there and gives no bytes.
      const accepted = all.filter((text) => (theirs.get(text) ?? '') !== '');
      const refused = new Set<number>();
      for (const d of assemble(slotted(bits, accepted), { fileName: 'forms.asm' }).diagnostics) {
        if (d.severity === 'error' && d.span) refused.add(slotOfLine(d.span.start.line));
      }
      const kept = accepted.filter((_, i) => !refused.has(i));
      const image = assemble(slotted(bits, kept), { fileName: 'forms.asm' }).image;
      const ours = new Map(kept.map((text, slot) => [text, slotHex(image, slot)]));
      const differ = accepted.filter((text) => ours.get(text) !== theirs.get(text));
      const wrong = new Set(differ);
      const compared = forms.filter((f) => f.texts.some((t) => (theirs.get(t) ?? '') !== ''));
      const formsDiffering = compared.filter((f) => f.texts.some((t) => wrong.has(t)));
      const writable = forms.filter((f) => f.texts.length > 0);
      console.log(
        `    ${bits}-bit: ${forms.length} forms, ${compared.length} compared (${accepted.length} instructions), ${formsDiffering.length} differ in ${differ.length} instructions; ` +
          `${writable.length - compared.length} nasm does not take, ${forms.length - writable.length} have operands that cannot be written`,
      );
      const byReason = new Map<string, number>();
      for (const text of differ)
        byReason.set(
          reasonFor(text) ?? 'no reason known',
          (byReason.get(reasonFor(text) ?? 'no reason known') ?? 0) + 1,
        );
      for (const [reason, count] of byReason) console.log(`      ${count}: ${reason}`);
      assert.deepStrictEqual(
        differ
          .filter((text) => reasonFor(text) === undefined)
          .map((text) => `${text}: nasm ${theirs.get(text) ?? ''}, ours ${ours.get(text) ?? 'rejects'}`),
        [],
      );
    });
  }
});
