/** The gateways beside synkti, set up as their own documents recommend for streams of tokens. */
import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../../src/cli/dev/ports.ts';
import { family, pinGateway } from './process.ts';
import { start, type Started } from './started.ts';

/** One gateway under test. */
export type Gateway = {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Its processes. */
  readonly pids: readonly number[];
  close(): Promise<void>;
};

export type Ground = { readonly dir: string; readonly engines: readonly string[] };

/** `program`: of the installed router. */
export async function openVllmRouter({ engines }: Ground, program: string): Promise<Gateway> {
  const [port, metrics] = [await freePort(1), await freePort(1)];
  const url = `http://127.0.0.1:${port}`;
  const args = [
    ...['--host', '127.0.0.1', '--port', `${port}`, '--prometheus-port', `${metrics}`],
    ...['--policy', 'cache_aware', '--log-level', 'error', '--worker-urls', ...engines],
    // What it has by default is fewer than the streams that are open at once.
    ...['--max-concurrent-requests', '4096'],
  ];
  return gatewayOf(url, await start('vllm-router', { command: program, args }, `${url}/health`));
}

export async function openBareProxy({ engines }: Ground): Promise<Gateway> {
  const port = await freePort(1);
  const args = [join(import.meta.dirname, 'bare-proxy.ts'), `${port}`, ...engines];
  const url = `http://127.0.0.1:${port}`;
  return gatewayOf(url, await start('node:http', { command: process.execPath, args }, `${url}/health`));
}

/** null: it is not installed. */
export async function openNginx({ dir, engines }: Ground): Promise<Gateway | null> {
  const program = nginxProgram();
  if (program === null) return null;
  const port = await freePort(1);
  const url = `http://127.0.0.1:${port}`;
  const prefix = join(dir, 'nginx');
  await mkdir(prefix, { recursive: true });
  await writeFile(join(prefix, 'nginx.conf'), nginxConf(port, engines));
  const args = ['-p', prefix, '-c', 'nginx.conf', '-e', 'error.log'];
  return gatewayOf(url, await start('nginx', { command: program, args }, `${url}/health`));
}

function nginxProgram(): string | null {
  for (const program of ['nginx', '/usr/sbin/nginx'])
    try {
      execFileSync(program, ['-v'], { stdio: 'ignore' });
      return program;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  return null;
}

const nginxConf = (port: number, engines: readonly string[]): string => `
daemon off;
pid nginx.pid;
worker_processes 1;
events { worker_connections 8192; }
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  upstream engines {
    least_conn;
    ${engines.map((engine) => `server ${new URL(engine).host};`).join(' ')}
    keepalive 64;
  }
  server {
    listen 127.0.0.1:${port} backlog=1024;
    keepalive_requests 1000000;
    location / {
      proxy_pass http://engines;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 300s;
    }
  }
}
`;

function gatewayOf(url: string, { pid, stop }: Started): Gateway {
  const pids = family(pid);
  pids.forEach(pinGateway);
  return { url, headers: {}, pids, close: stop };
}
