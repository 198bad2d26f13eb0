/** Bodies may carry images in base64. Somewhat less than what fits into one call to a provider. */
export const MAX_BODY = 12_582_912;

/** Local models may have to be loaded first, and may think long before their first word. */
export const ANSWER_MS = 600_000;

export const TAGS = ['openai'];
