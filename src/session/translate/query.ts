import type { GuestView } from '../guest/view';
import { reverseHpa, reverseHva } from './reverse';
import { accessOf, translateGpa, translateGva } from './translate';
import type { TranslateAnswer, TranslateQuery } from './translation';

/** An address of any space, forwards to host memory or back from there. */
export function translateQuery(guest: GuestView, query: TranslateQuery): TranslateAnswer {
  const access = accessOf(query, guest.cpl);
  switch (query.space) {
    case 'gva':
      return { kind: 'forward', chain: translateGva(guest, query.address, access) };
    case 'gpa':
      return { kind: 'forward', chain: translateGpa(guest, query.address, access) };
    case 'hva':
      return { kind: 'reverse', chain: reverseHva(guest, query.address) };
    case 'hpa':
      return { kind: 'reverse', chain: reverseHpa(guest, query.address) };
  }
}
