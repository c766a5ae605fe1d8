import type { PeerAddress } from './ports.ts';

/** `host:port` as it stands in a URL (RFC 3986, section 3.2): an address of IPv6 goes in brackets. */
export const authorityOf = ({ host, port }: PeerAddress): string =>
  `${host.includes(':') ? `[${host}]` : host}:${port}`;
