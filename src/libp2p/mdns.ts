/**
 * Finds where peers listen on the local network, by multicast DNS. What it hears is hearsay: anybody on the network can
 * answer. So it tells only of peers that somebody asked for by their id, and whoever answers at the address has to
 * prove that id.
 */
import { start, stop, type ComponentLogger, type Logger, type PeerInfo } from '@libp2p/interface';
import { mdns, type MulticastDNSComponents } from '@libp2p/mdns';
import type { PeerAddress } from '../node/ports.ts';
import { multiaddrOf } from './address.ts';

type FinderOptions = {
  /** Announced, so that others find us. */
  readonly self: { readonly peerId: string; readonly address: PeerAddress };
  /** All others are not kept. */
  readonly wanted: ReadonlySet<string>;
  /** The multicast group does not work here, or no longer; told once. */
  readonly onFailed: (why: string) => void;
};

type Finder = {
  /** null: it has not been heard of. */
  find(peerId: string): PeerAddress | null;
  close(): Promise<void>;
};

/** A small datagram to the local network. Who was started last is found within this by all others. */
const askMs = 3_000;

export async function openFinder({ self, wanted, onFailed }: FinderOptions): Promise<Finder> {
  const found = new Map<string, PeerAddress>();
  const announced = multiaddrOf(self.address, self.peerId);
  const addressManager = { getAddresses: () => [announced] };
  const discovery = mdns({ interval: askMs, serviceTag: '_synkti._tcp.local' })({
    addressManager: addressManager as unknown as MulticastDNSComponents['addressManager'],
    logger: loggerTo(onFailed),
  });
  discovery.addEventListener('peer', ({ detail }) => {
    const peerId = detail.id.toString();
    const address = wanted.has(peerId) ? addressIn(detail) : null;
    if (address !== null) found.set(peerId, address);
  });
  await start(discovery);
  return { find: (peerId) => found.get(peerId) ?? null, close: () => stop(discovery) };
}

/** The first that we can dial; a synkti node announces one. */
function addressIn({ multiaddrs }: PeerInfo): PeerAddress | null {
  for (const address of multiaddrs) {
    const parts = new Map(address.getComponents().map(({ name, value }) => [name, value]));
    const host = parts.get('ip4') ?? parts.get('ip6') ?? parts.get('dns4');
    const port = Number(parts.get('tcp'));
    if (host !== undefined && port >= 1 && port <= 65_535) return { host, port };
  }
  return null;
}

/** The package reports what goes wrong to a logger and nowhere else. */
function loggerTo(onFailed: (why: string) => void): ComponentLogger {
  let told = false;
  const tell = (text: string, ...details: readonly unknown[]): void => {
    const error = details.find((detail) => detail instanceof Error);
    if (!told) onFailed(`mdns: ${error?.message ?? text}`);
    told = true;
  };
  const silent = (): void => undefined;
  const logger: Logger = Object.assign(silent, {
    error: tell,
    trace: silent,
    enabled: false,
    newScope: () => logger,
  });
  return { forComponent: () => logger };
}
