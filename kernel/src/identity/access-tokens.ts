import { type JWTPayload, jwtVerify, SignJWT } from 'jose';
import type { MasterKey } from '../auth/index.js';

/** What an access token says: who, in which organisation, and out of which login. */
export interface AccessClaims {
  user: string;
  organisation: string;
  session: string;
  /** ms since the epoch. */
  expires: number;
}

const USE = 'access tokens';
const ALGORITHM = 'HS256';
const ISSUER = 'atoll';
const AUDIENCE = 'atoll-api';
const TYPE = 'at+jwt';
const SHAPE = /^[A-Za-z0-9_-]{2,512}\.[A-Za-z0-9_-]{2,2048}\.[A-Za-z0-9_-]{43}$/;

/** Signs and checks access tokens: JWTs that only this installation can make. */
export class AccessTokens {
  constructor(
    private readonly master: MasterKey,
    readonly lifetimeSeconds: number,
  ) {}

  sign({ user, organisation, session }: Omit<AccessClaims, 'expires'>): Promise<string> {
    return new SignJWT({ org: organisation, sid: session })
      .setProtectedHeader({ alg: ALGORITHM, typ: TYPE })
      .setIssuer(ISSUER)
      .setAudience(AUDIENCE)
      .setSubject(user)
      .setIssuedAt()
      .setExpirationTime(`${this.lifetimeSeconds}s`)
      .sign(this.master.derive(USE));
  }

  /** Undefined for everything but an unaltered token of this installation that has not expired (or has, when that does not matter). */
  async verify(token: string, { expired = false } = {}): Promise<AccessClaims | undefined> {
    if (!SHAPE.test(token)) return undefined;
    // While the master key is exchanged, tokens of either key are out.
    for (const key of this.master.deriveEach(USE).values()) {
      const claims = await this.#verifyWith(key, token, expired);
      if (claims) return claims;
    }
    return undefined;
  }

  async #verifyWith(key: Buffer, token: string, expired: boolean): Promise<AccessClaims | undefined> {
    try {
      const { payload } = await jwtVerify(token, key, {
        algorithms: [ALGORITHM],
        issuer: ISSUER,
        audience: AUDIENCE,
        typ: TYPE,
        requiredClaims: ['sub', 'org', 'sid', 'iat', 'exp'],
        ...(expired && { currentDate: new Date(0) }),
      });
      return toClaims(payload);
    } catch {
      return undefined;
    }
  }
}

function toClaims({ sub, org, sid, exp }: JWTPayload): AccessClaims | undefined {
  if (typeof sub !== 'string' || typeof org !== 'string' || typeof sid !== 'string' || !exp) return undefined;
  return { user: sub, organisation: org, session: sid, expires: exp * 1000 };
}
