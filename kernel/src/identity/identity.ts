import type { AuditTrail } from '../audit/index.js';
import type { MasterKey, RootKeyAuthenticator } from '../auth/index.js';
import type { Config } from '../config/index.js';
import type { Database } from '../database/index.js';
import type { Logger } from '../telemetry/logger.js';
import { AccessTokens } from './access-tokens.js';
import { ApiKeys } from './api-keys.js';
import { IdentityChanges } from './changes.js';
import { Credentials } from './credentials.js';
import type { DeclaredPermission } from './declared-permissions.js';
import { Login } from './login.js';
import { LoginThrottle } from './login-throttle.js';
import { OidcLogin } from './oidc.js';
import { Organisations } from './organisations.js';
import { Passwords } from './passwords.js';
import { Principals } from './principals.js';
import { Roles } from './roles.js';
import { Sessions } from './sessions.js';
import { TwoFactor } from './two-factor.js';
import { Users } from './users.js';

export interface IdentityDeps {
  database: Database;
  config: Config['auth'];
  master: MasterKey;
  root: RootKeyAuthenticator;
  declared: () => readonly DeclaredPermission[];
  log: Logger;
  /** Where changes are recorded. */
  trail: AuditTrail;
}

/** Who there is and what they may do: users, organisations, roles, logins and keys, over one database. */
export class Identity {
  readonly changes: IdentityChanges;
  readonly roles: Roles;
  readonly sessions: Sessions;
  readonly users: Users;
  readonly organisations: Organisations;
  readonly keys: ApiKeys;
  readonly twoFactor: TwoFactor;
  readonly login: Login;
  readonly oidc: OidcLogin;
  readonly principals: Principals;
  readonly credentials: Credentials;

  constructor({ database, config, master, root, declared, log, trail }: IdentityDeps) {
    const tokens = new AccessTokens(master, config.accessTokenSeconds);
    const passwords = new Passwords();
    const throttle = new LoginThrottle(database, config);
    this.changes = new IdentityChanges(database, log, trail);
    const { changes } = this;
    this.roles = new Roles(database, changes, declared);
    this.sessions = new Sessions(database, changes, tokens, config.sessionSeconds);
    const { roles, sessions } = this;
    this.users = new Users(database, changes, passwords, roles, sessions, config.minPasswordLength);
    this.organisations = new Organisations(database, changes);
    this.keys = new ApiKeys(database, changes, roles);
    this.twoFactor = new TwoFactor(database, changes, master);
    const { users, keys, twoFactor } = this;
    this.login = new Login({ users, passwords, sessions, throttle, twoFactor, changes });
    this.oidc = new OidcLogin({ providers: config.oidc, database, changes, users, sessions, master });
    this.principals = new Principals(database, roles);
    const { principals } = this;
    const onProblem = (error: unknown) => log.warn({ err: error }, 'the use of API keys could not be written down');
    this.credentials = new Credentials({ root, tokens, keys, sessions, principals, changes, onProblem });
  }

  /** Begins to listen to changes of other nodes; the database has to be open. */
  start(): Promise<void> {
    return this.changes.start();
  }

  async close(): Promise<void> {
    await this.credentials.close();
    await this.changes.close();
  }
}
