/** The hover outside debugging: what a symbol is worth. */
import type { AsmSymbol } from '../asm/index';
import { hex } from '../base/hex';
import type { Analysis } from './analysis';

export function symbolMarkdown({ assembled }: Analysis, symbol: AsmSymbol): string {
  if (symbol.kind === 'constant') {
    const signed = BigInt.asIntN(64, symbol.value);
    const decimal = signed < 0n ? `${symbol.value} = ${signed}` : String(symbol.value);
    return `**${symbol.name}** constant\n\n\`${hex(symbol.value)} = ${decimal}\``;
  }
  const section = symbol.section === undefined ? '' : ` in \`${symbol.section}\``;
  // Without `org` the address is settled when the guest starts; only the distance from the first byte is known here.
  const value = assembled.hasOrg
    ? hex(symbol.value)
    : `${hex(symbol.value - assembled.origin)} from the start of the image`;
  return `**${symbol.name}** ${symbol.followedBy === 'data' ? 'data' : 'label'}${section}\n\n\`${value}\``;
}
