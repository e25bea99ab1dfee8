// jose as the other side; the same questions and answers as pyjwt_peer.py.
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { exportJWK, generateKeyPair, generateSecret, importJWK, jwtVerify, SignJWT } from 'jose';

const asked = JSON.parse(readFileSync(0, 'utf8'));

async function sign(alg) {
  const options = { extractable: true };
  const secret = alg.startsWith('HS') && (await generateSecret(alg, options));
  const pair = secret || (await generateKeyPair(alg, options));
  const token = await new SignJWT(asked.claims)
    .setProtectedHeader({ alg, kid: 'a' })
    .sign(secret || pair.privateKey);
  const jwk = await exportJWK(secret || pair.publicKey);
  return { alg, jwk: { ...jwk, kid: 'a', use: 'sig' }, token };
}

async function verifies({ alg, jwk, token }) {
  try {
    const key = await importJWK(jwk, alg);
    const { payload } = await jwtVerify(token, key, { algorithms: [alg] });
    return isDeepStrictEqual(payload, asked.claims);
  } catch {
    return false;
  }
}

const signed = await Promise.all(asked.sign.map(sign));
const verdicts = await Promise.all(asked.verify.map(verifies));
process.stdout.write(JSON.stringify({ signed, verdicts }));
