/** Version of the plugin contract: what `engine` ranges of manifests are compared with where no kernel runs. */
export const ENGINE_VERSION = '1.0.0';
