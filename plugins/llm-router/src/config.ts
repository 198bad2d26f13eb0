export interface Config {
  defaultModel?: string;
  defaultEmbeddingModel: string;
  aliases: Record<string, string>;
}
