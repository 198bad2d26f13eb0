/** What is told of a secret: never its value. */
export interface SecretInfo {
  name: string;
  source: 'api' | 'configuration';
  /** `host` (any port) or `host:port` it may be sent to. */
  hosts: readonly string[];
  /** Ids of plugins that may use it when their manifests ask for it; `*` is all of them. */
  plugins: readonly string[];
  /** The version that is used. */
  version?: number;
  createdAt?: string;
  updatedAt?: string;
}

export interface SecretVersion {
  version: number;
  active: boolean;
  createdAt: string;
  /** Kind and id of who made it. */
  createdBy: string;
  /** Id of the master key that protects it. */
  masterKey: string;
}

export interface NewSecret {
  name: string;
  value: string;
  hosts: string[];
  plugins: string[];
}
