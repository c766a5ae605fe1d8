/**
 * The least that a proxy in Node.js does, as a floor: `bare-proxy.ts PORT URL…` passes each request to the next engine
 * and its answer back, and reads nothing of either.
 */
import { Agent, createServer, request as ask } from 'node:http';
import { pipeline } from 'node:stream';

const [port, ...engines] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true });
let next = 0;

createServer((request, response) => {
  const { hostname, port } = new URL(engines[next++ % engines.length]!);
  const { method, url: path, headers } = request;
  const asked = ask({ agent, hostname, port, method, path, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    response.flushHeaders();
    pipeline(answer, response, () => {});
  });
  asked.on('error', () => {
    if (response.headersSent) response.destroy();
    else response.writeHead(502).end();
  });
  response.on('close', () => asked.destroy());
  request.pipe(asked);
}).listen(Number(port), '127.0.0.1');
