/**
 * Splits a text into sentences, at line breaks and after closing punctuation; long ones without any are cut at 400
 * signs.
 */
export function sentencesOf(text: string): string[] {
  return text
    .split(/\n+/)
    .flatMap((line) => line.match(/.{1,400}?(?:[.!?…。！？]{1,9}["')\]]*(?=\s|$)|$)|.{1,400}/gu) ?? [])
    .map((sentence) => sentence.trim())
    .filter((sentence) => /[\p{L}\p{N}]/u.test(sentence));
}
