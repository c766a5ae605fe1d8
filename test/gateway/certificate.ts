/** Certificates for clients as an operator has them: self-signed, of this machine, in two files. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Certificate } from '../../src/gateway/server.ts';

const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'];
const made = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', ...subject];

/** Another one each time, to where these paths point. */
export function writeCertificate({ cert, key }: { readonly cert: string; readonly key: string }): void {
  execFileSync('openssl', [...made, '-days', '1', '-keyout', key, '-out', cert], { stdio: 'ignore' });
}

export async function makeCertificate(): Promise<Certificate> {
  const dir = await mkdtemp(join(tmpdir(), 'synkti-tls-'));
  try {
    const [cert, key] = [join(dir, 'cert.pem'), join(dir, 'key.pem')];
    writeCertificate({ cert, key });
    return { cert: await readFile(cert), key: await readFile(key) };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
