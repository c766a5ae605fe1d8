/**
 * An instance metadata service over a real socket, version 2 only as on current AMIs, that can be made to misbehave.
 * It keeps what a test wants to know about its client: connections, tokens issued, requests that came without one.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { openImds, type Imds } from '../../src/aws/imds.ts';

/** How reads are answered: `mute` never, `reset` by cutting the connection, a number with that status. */
type Mood = 'well' | 'mute' | 'reset' | 401 | 403 | 500 | 503;

export class FakeImds implements AsyncDisposable {
  /** Text by path below /latest/. */
  readonly tree = new Map<string, string>();
  mood: Mood = 'well';
  tokenMood: Mood = 'well';
  /** How long a token is granted for, whatever was asked. */
  tokenSeconds = 21_600;
  /** What time it is there, epoch ms. */
  time = (): number => Date.now();
  /** What is waited for before a path is answered. */
  readonly held = new Map<string, Promise<void>>();
  connections = 0;
  tokens = 0;
  /** Reads without a token: what version 1 would look like. */
  bareReads = 0;
  readonly reads: string[] = [];
  readonly #valid = new Map<string, number>();
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor() {
    this.#server = createServer((request, response) => this.#answer(request, response));
    this.#server.on('connection', (socket) => {
      this.connections++;
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  static async start(): Promise<FakeImds> {
    const fake = new FakeImds();
    fake.#server.listen(0, '127.0.0.1');
    await once(fake.#server, 'listening');
    return fake;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** As when the service restarts: every token that was issued is unknown from now on. */
  forgetTokens(): void {
    this.#valid.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = (request.url ?? '').replace(/^\/latest\//, '');
    if (request.method === 'PUT' && path === 'api/token') return this.#issue(response);
    this.reads.push(path);
    const token = String(request.headers['x-aws-ec2-metadata-token'] ?? '');
    if (token === '') this.bareReads++;
    if (this.#misbehaved(this.mood, response)) return;
    if ((this.#valid.get(token) ?? 0) < performance.now()) return void response.writeHead(401).end();
    const text = this.tree.get(path);
    const date = new Date(this.time()).toUTCString();
    const tell = (): unknown =>
      text === undefined
        ? response.writeHead(404).end('not found')
        : response.writeHead(200, { date }).end(text);
    const held = this.held.get(path);
    if (held === undefined) tell();
    else void held.then(tell);
  }

  #issue(response: ServerResponse): void {
    this.tokens++;
    if (this.#misbehaved(this.tokenMood, response)) return;
    const token = `token-${this.tokens}`;
    this.#valid.set(token, performance.now() + this.tokenSeconds * 1_000);
    response.writeHead(200, { 'x-aws-ec2-metadata-token-ttl-seconds': String(this.tokenSeconds) }).end(token);
  }

  #misbehaved(mood: Mood, response: ServerResponse): boolean {
    if (mood === 'reset') response.socket?.resetAndDestroy();
    else if (typeof mood === 'number') response.writeHead(mood).end('no');
    return mood !== 'well';
  }
}

/** Somebody who asks one. */
export async function met(run: (imds: Imds, fake: FakeImds) => Promise<void>): Promise<void> {
  await using fake = await FakeImds.start();
  const imds = openImds(fake.endpoint);
  try {
    await run(imds, fake);
  } finally {
    await imds.close();
  }
}
