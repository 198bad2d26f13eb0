import { hash, randomBytes } from 'node:crypto';

/** 256 random bits behind a prefix that tells what they are: nobody can guess it, so a fast hash is enough to keep it by. */
export const newSecret = (prefix: string): string => `${prefix}${randomBytes(32).toString('base64url')}`;

export const hashSecret = (secret: string): string => hash('sha256', secret, 'base64url');
