/** One request that is passed through, from one member to the next until its answer is there. */
import type { ServerResponse } from 'node:http';
import { openFitting } from '../node/fitting.ts';
import type { Generations } from '../node/generations.ts';
import type { Clock } from '../node/ports.ts';
import type { MoveReason, Serving, ServingMember } from '../node/serving.ts';
import type { Spent } from '../node/spent.ts';
import type { Blocks } from '../routing/blocks.ts';
import type { MemberId } from '../std/member-id.ts';
import { after, type Instant } from '../std/time.ts';
import { complaintJson } from '../stream/answer.ts';
import type { LossCause } from '../stream/loss.ts';
import { brokenOff, crowded, enginesDied, notPlaced, type Refusal } from '../stream/refusal.ts';
import { isSoughtTooLong, lessOwnStall, seekAgainMs } from '../stream/seeking.ts';
import { isPassing } from '../stream/turned-away.ts';
import { Attempt, type Answer, type Loss } from './attempt.ts';
import { loadFromHeader, servedByHeader } from './headers.ts';
import { withModels } from './models.ts';
import type { Outlet } from './outlet.ts';
import { openAiError, refused, reply } from './reply.ts';
import type { Share } from './room.ts';
import { openPassedStream, tokensIn, type PassedStream } from './usage.ts';
import { Vigil } from './vigil.ts';
import type { Way } from './way.ts';

/**
 * Members that may fail one request: what a third engine cannot do either is the request's fault. Who never began it,
 * because it is on its way out or not to be reached, is none of them.
 */
const lossesMax = 3;
/** For the head of an answer, which one in a piece has when it is done, and between two pieces of it. ms */
const headMs = 600_000;
const pieceMs = 120_000;

type Asked = {
  readonly id: string;
  readonly arrivedAt: Instant;
  readonly path: string;
  readonly model: string;
  readonly bytes: Buffer;
  readonly headers: Readonly<Record<string, string>>;
  readonly prompt: Blocks;
  /** Told the tokens of the answer, where it says them or shows them; only the first word of its end counts. */
  readonly spent: Spent;
};

type Ports = {
  readonly serving: Serving;
  readonly generations: Generations;
  readonly dispatcherTo: (member: MemberId) => Way | null;
  readonly clock: Clock;
  /** For the answers in one piece of its key. */
  readonly room: Share;
};

export class Passing {
  readonly #asked: Asked;
  readonly #outlet: Outlet;
  readonly #response: ServerResponse;
  readonly #ports: Ports;
  readonly #fitting: ReturnType<typeof openFitting>;
  #attempt: Attempt | null = null;
  #avoid: readonly MemberId[] = [];
  #losses = 0;
  /** A member had it, and has it no more: from then on a full one is better than none. */
  #isUrgent = false;
  /** Since when nobody has begun it, less what we stood still; null: it was begun and not lost, but for others before. */
  #seekingSince: Instant | null = null;
  /** The last one was lost by an engine that was dead before it said anything. */
  #metDead = false;
  /** The last refusal in an engine's own words. */
  #refused: Answer | null = null;
  /** What this request has of the room for answers, bytes. */
  #heldBytes = 0;
  readonly #stream: PassedStream;
  /** Over the stream that has begun. */
  readonly #vigil: Vigil;
  #over = false;
  #disarm = (): void => {};

  constructor(asked: Asked, outlet: Outlet, ports: Ports) {
    this.#asked = asked;
    this.#stream = openPassedStream({ spent: asked.spent, begun: () => this.#begun() });
    this.#outlet = outlet;
    this.#response = outlet.response;
    this.#ports = ports;
    this.#fitting = openFitting(asked, { serving: ports.serving, placing: ports.generations });
    this.#vigil = new Vigil({
      clock: ports.clock,
      isDoubted: () => this.#attempt !== null && !this.#isReady(this.#attempt.member),
      isRead: () => !this.#response.writableNeedDrain,
      lost: () => this.#lose('silence'),
    });
    this.#response.on('drain', () => {
      this.#vigil.resumed();
      this.#attempt?.resume();
    });
  }

  begin(): void {
    const { serving, clock, dispatcherTo } = this.#ports;
    const choice = this.#fitting.place({ avoid: this.#avoid, urgent: this.#isUrgent });
    if (choice.type === 'none') return this.#unplaced(choice.why);
    const { member } = choice;
    const accounts = [serving.sent(member), ...(member === serving.self ? [serving.generating()] : [])];
    const attempt = new Attempt({ member, begunAt: clock.now(), accounts }, this);
    this.#attempt = attempt;
    const dispatcher = dispatcherTo(member);
    if (dispatcher === null) return attempt.turnedAway();
    const { path, bytes, headers } = this.#asked;
    const at = (member === serving.self ? '' : '/engine') + path;
    const timeouts = { headersTimeout: headMs, bodyTimeout: pieceMs };
    dispatcher.dispatch({ method: 'POST', path: at, headers, body: bytes, ...timeouts }, attempt);
  }

  /** The member leaves or is in doubt: what has not been answered had better be asked elsewhere. */
  move(member: MemberId, why: MoveReason): void {
    if (this.#attempt?.member !== member || this.#attempt.isOver) return;
    if (why === 'dead') return this.#lose('dead');
    if (why === 'silence') return;
    if (this.#response.headersSent) return why === 'suspect' ? this.#vigil.doubt() : this.#vigil.trust();
    // Where there is nowhere to go, staying is better as long as the engine lives.
    if (!this.#ready().some((one) => one.member !== member)) return this.#moveLater(member, why);
    // Ordered to go: that counts against nobody.
    this.#attempt.end();
    this.#seekingSince = null;
    this.#askAnother(member);
  }

  /** Unless it is in no doubt by then. */
  #moveLater(member: MemberId, why: MoveReason): void {
    const { clock } = this.#ports;
    this.#disarm();
    this.#disarm = clock.wakeAt(after(clock.now(), seekAgainMs), () => {
      if (!this.#over && !this.#isReady(member)) this.move(member, why);
    });
  }

  #ready(): readonly ServingMember[] {
    return this.#ports.serving.model(this.#asked.model)?.ready ?? [];
  }

  #isReady(member: MemberId): boolean {
    return this.#ready().some((one) => one.member === member);
  }

  #lose(cause: 'dead' | 'silence'): void {
    if (!this.#over) this.#attempt?.lose(cause);
  }

  /** Nothing was begun there: that says nothing of the request, and is bounded by the time for looking alone. */
  turnedAway({ member }: Attempt): void {
    if (this.#over) return;
    if (this.#seeksTooLong()) return this.#giveUp();
    this.#askAnother(member);
  }

  /** The client has everything, or has gone. */
  close(): void {
    this.#over = true;
    this.#disarm();
    this.#vigil.trust();
    this.#attempt?.end();
    this.#holdOnly(0);
    const tokens = this.#stream.tokensSoFar();
    if (tokens !== null) this.#asked.spent(tokens);
  }

  /** One more piece of an answer is kept until all of it is there. False: all answers together are too large. */
  hold(bytes: number): boolean {
    const isHeld = this.#ports.room.take(bytes) === null;
    if (isHeld) this.#heldBytes += bytes;
    return isHeld;
  }

  /** Our own want of room, which another member would not mend. */
  crowded(): void {
    this.#asked.spent(0);
    reply(this.#response, refused(crowded));
  }

  heardLoad(member: MemberId, header: unknown): void {
    const load = loadFromHeader(header);
    if (load !== null) this.#ports.serving.heardLoad(member, load);
  }

  whole(answer: Answer, attempt: Attempt): void {
    attempt.end();
    if (this.#fitting.outgrows(answer.by, answer.status)) return this.turnedAway(attempt);
    // What one engine does not implement no other engine of the model does.
    this.#judge(attempt, answer.status >= 500 && answer.status !== 501);
    if (!isPassing(answer.status)) return this.#deliver(answer);
    this.#refused = answer;
    this.#lost(attempt, 'status');
  }

  /** A piece of a stream. False: no more just now. */
  piece(part: Buffer, { type, status, by }: Omit<Answer, 'body'>): boolean {
    if (!this.#response.headersSent)
      this.#response.writeHead(status, {
        ...{ 'content-type': type, [servedByHeader]: by },
        ...{ 'cache-control': 'no-cache', 'x-accel-buffering': 'no' },
      });
    this.#vigil.heard();
    this.#stream.take(part);
    return this.#response.write(part);
  }

  streamed(attempt: Attempt): void {
    attempt.end();
    this.#judge(attempt, false);
    this.#charge(this.#stream.tokens());
    this.#response.end();
  }

  broken(attempt: Attempt, why: string, { blame, failed, isDead, cause }: Loss): void {
    this.#metDead = isDead;
    if (failed) this.#judge(attempt, true);
    if (blame) this.#ports.serving.suspect(attempt.member, why);
    this.#lost(attempt, cause);
  }

  #holdOnly(bytes: number): void {
    this.#ports.room.giveBack(this.#heldBytes - bytes);
    this.#heldBytes = bytes;
  }

  #begun(): void {
    const { id: request, model, arrivedAt } = this.#asked;
    const { serving, clock } = this.#ports;
    this.#vigil.begun();
    serving.report({ fact: 'stream.begun', model, ttftMs: clock.now() - arrivedAt, request });
  }

  #charge(tokens: number | null): void {
    // What only reads says that it wrote none, and that is no refusal.
    if (tokens !== null && tokens > 0) this.#asked.spent(tokens);
  }

  #judge({ member, begunAt }: Attempt, failed: boolean): void {
    this.#ports.generations.judge({ member, failed, begunAt });
  }

  #lost({ member }: Attempt, cause: LossCause): void {
    if (this.#over) return;
    this.#losses += 1;
    this.#seekingSince = null;
    if (this.#response.headersSent) return this.#breakOff(cause);
    if (this.#losses >= lossesMax) return this.#metDead ? this.#refuse(enginesDied) : this.#giveUp();
    this.#askAnother(member);
  }

  #askAnother(than: MemberId): void {
    this.#isUrgent = true;
    this.#holdOnly(this.#refused?.body.length ?? 0);
    this.#avoid = [...this.#avoid, than];
    this.begin();
  }

  #unplaced(why: Parameters<typeof notPlaced>[1]): void {
    const { clock } = this.#ports;
    if (!this.#isUrgent) return this.#refuse(notPlaced(this.#asked.model, why));
    if (this.#seeksTooLong()) return this.#giveUp();
    this.#avoid = [];
    const due = after(clock.now(), seekAgainMs);
    this.#disarm = clock.wakeAt(due, () => {
      this.#seekingSince = lessOwnStall(this.#seekingSince ?? due, due, clock.now());
      this.begin();
    });
  }

  #seeksTooLong(): boolean {
    const now = this.#ports.clock.now();
    this.#seekingSince ??= now;
    return isSoughtTooLong(this.#seekingSince, now);
  }

  #giveUp(): void {
    if (this.#refused !== null) return this.#deliver(this.#refused);
    const isUnsaid = this.#losses === 0 || this.#metDead;
    this.#refuse(isUnsaid ? notPlaced(this.#asked.model, 'unavailable') : brokenOff('reset'));
  }

  #refuse(refusal: Refusal): void {
    const { serving } = this.#ports;
    this.#asked.spent(0);
    reply(this.#response, refused(withModels(refusal, () => serving.models())));
  }

  #breakOff(cause: LossCause): void {
    // What came last may be half a line.
    this.#response.end(`\n\nevent: error\ndata: ${complaintJson(brokenOff(cause).complaint)}\n\n`);
  }

  #deliver({ status, type, body, by }: Answer): void {
    if (this.#response.headersSent || this.#response.destroyed) return;
    if (status < 400) this.#charge(tokensIn(body));
    else this.#asked.spent(0);
    const told = status < 400 ? body : Buffer.from(openAiError(status, body.toString('utf8')));
    const headers = { 'content-type': status < 400 ? type : 'application/json', [servedByHeader]: by };
    this.#outlet.deliver(status, headers, told);
  }
}
