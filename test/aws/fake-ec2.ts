/** The three calls of the EC2 query API that a node makes, over a real socket, with state and with bad days. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

export type FakeInstance = {
  readonly id: string;
  readonly state: string;
  readonly privateIp: string | null;
  readonly zone: string;
  readonly tags: Map<string, string>;
};

type Refusal = { readonly status: number; readonly code: string };

/** No refusal: a place in the line of refusals. */
export const well: Refusal = { status: 200, code: '' };
export const throttled: Refusal = { status: 503, code: 'RequestLimitExceeded' };
export const unknownInstance: Refusal = { status: 400, code: 'InvalidInstanceID.NotFound' };
/** Never answered. */
export const mute: Refusal = { status: 0, code: '' };
export const unauthorized: Refusal = { status: 403, code: 'UnauthorizedOperation' };

export class FakeEc2 implements AsyncDisposable {
  readonly instances: FakeInstance[] = [];
  /** Taken by the next calls of that action, one each; what is left after them is answered well. */
  readonly refusals = new Map<string, Refusal[]>();
  /** Every call's parameters, in order. */
  readonly calls: URLSearchParams[] = [];
  readonly accessKeys = new Set<string>();
  /** Items on a page, whatever was asked for. */
  pageSize = 1_000;
  /** Each page names the same one as the next. */
  circles = false;
  /** What a listing is answered with instead of the truth. */
  answer: string | null = null;
  readonly #server: Server = createServer((request, response) => void this.#answer(request, response));

  static async start(): Promise<FakeEc2> {
    const fake = new FakeEc2();
    fake.#server.listen(0, '127.0.0.1');
    await once(fake.#server, 'listening');
    return fake;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  add(id: string, tags: Readonly<Record<string, string>>, over: Partial<FakeInstance> = {}): FakeInstance {
    const plain = {
      id,
      state: 'running',
      privateIp: `10.0.0.${this.instances.length + 1}`,
      zone: 'us-east-1a',
    };
    const instance = { ...plain, ...over, tags: new Map(Object.entries(tags)) };
    this.instances.push(instance);
    return instance;
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    return Promise.resolve();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const call = new URLSearchParams(await text(request));
    const action = call.get('Action') ?? '';
    this.calls.push(call);
    this.accessKeys.add(/Credential=([^/]+)\//.exec(request.headers.authorization ?? '')?.[1] ?? '');
    const refusal = this.refusals.get(action)?.shift();
    if (refusal === mute) return;
    response.setHeader('content-type', 'text/xml');
    if (refusal !== undefined && refusal !== well) {
      const { status, code } = refusal;
      const error = `<Error><Code>${code}</Code><Message>no</Message></Error>`;
      response
        .writeHead(status)
        .end(`<Response><Errors>${error}</Errors><RequestID>r</RequestID></Response>`);
    } else response.end(this.#perform(action, call));
  }

  #perform(action: string, call: URLSearchParams): string {
    const target = this.instances.find(({ id }) => id === call.get('ResourceId.1'));
    for (let i = 1; call.has(`Tag.${i}.Key`); i++) {
      const key = call.get(`Tag.${i}.Key`) ?? '';
      if (action === 'CreateTags') target?.tags.set(key, call.get(`Tag.${i}.Value`) ?? '');
      else target?.tags.delete(key);
    }
    return action === 'DescribeInstances'
      ? (this.answer ?? this.#describe(call))
      : `<${action}Response><return>true</return></${action}Response>`;
  }

  #describe(call: URLSearchParams): string {
    const cluster = call.get('Filter.1.Value.1');
    const states = [call.get('Filter.2.Value.1'), call.get('Filter.2.Value.2')];
    const found = this.instances.filter(
      ({ tags, state }) => tags.get('SynktiCluster') === cluster && states.includes(state),
    );
    const from = Number(call.get('NextToken') ?? 0);
    const to = from + this.pageSize;
    const next = this.circles ? from || to : to;
    const more = to < found.length || this.circles ? `<nextToken>${next}</nextToken>` : '';
    const items = found.slice(from, to).map(xml).join('');
    return `<DescribeInstancesResponse><reservationSet>${items}</reservationSet>${more}</DescribeInstancesResponse>`;
  }
}

function xml({ id, state, privateIp, zone, tags }: FakeInstance): string {
  const tagSet = [...tags]
    .map(([key, value]) => `<item><key>${key}</key><value>${value}</value></item>`)
    .join('');
  const address = privateIp === null ? '' : `<privateIpAddress>${privateIp}</privateIpAddress>`;
  const instance = `<instanceId>${id}</instanceId><instanceState><name>${state}</name></instanceState>${address}
    <placement><availabilityZone>${zone}</availabilityZone></placement><tagSet>${tagSet}</tagSet>`;
  return `<item><instancesSet><item>${instance}</item></instancesSet></item>`;
}
