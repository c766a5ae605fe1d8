/** Kinds of value that name peers: who belongs to a cluster without EC2, and who may look into one. */
import { authorityOf } from '../node/authority.ts';
import type { ListedPeer } from '../roster/roster.ts';
import { host, itemsOf, name, port, type Kind } from './kinds.ts';

/** As many as a cluster may have members, and far more people than operate one. */
const peersMax = 1_000;
const operatorsMax = 32;

/** An Ed25519 key in the form of libp2p: base58 of its 38 bytes, which always begin alike. */
const ed25519PeerId = /^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/;

export const peers: Kind<readonly ListedPeer[] | null> = {
  expects: 'a list of name=peerId@host:port or name=peerId, each name and each peer id once',
  placeholder: 'list',
  parse: (written) => {
    const listed = itemsOf(written).map(peerFrom);
    const whole = listed.filter((peer) => peer !== null);
    const distinct = isSet(whole.map(({ name }) => name)) && isSet(whole.map(({ peerId }) => peerId));
    const fits = listed.length >= 1 && listed.length <= peersMax;
    return fits && distinct && whole.length === listed.length ? whole : undefined;
  },
  show: (value) => (value ?? []).map(shown).join(' '),
};

export const peerIds: Kind<readonly string[]> = {
  expects: 'a list of peer ids, each once',
  placeholder: 'list',
  parse: (written) => {
    const ids = itemsOf(written);
    const fits = ids.length >= 1 && ids.length <= operatorsMax;
    return fits && isSet(ids) && ids.every((id) => ed25519PeerId.test(id)) ? ids : undefined;
  },
  show: (value) => value.join(' '),
};

const isSet = (values: readonly string[]): boolean => new Set(values).size === values.length;

function peerFrom(text: string): ListedPeer | null {
  const [, called = '', peerId = '', , place] = /^([^=]+)=([^@]+)(@(.+))?$/.exec(text) ?? [];
  if (name.parse(called) === undefined || !ed25519PeerId.test(peerId)) return null;
  if (place === undefined) return { name: called, peerId, address: null };
  const [, bracketed, plain, digits = ''] = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(place) ?? [];
  const address = { host: host.parse(bracketed ?? plain ?? ''), port: port.parse(digits) };
  if (address.host === undefined || address.port === undefined) return null;
  return { name: called, peerId, address: { host: address.host, port: address.port } };
}

function shown({ name, peerId, address }: ListedPeer): string {
  return address === null ? `${name}=${peerId}` : `${name}=${peerId}@${authorityOf(address)}`;
}
