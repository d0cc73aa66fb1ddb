/** Words from other machines, as they may be shown: a terminal would obey what is in them. Pure. */

/** Without control characters, and without the colours that programs put between them. */
export const plainText = (text: string): string => text.replaceAll(/\p{Cc}(?:\[[\d;?]*[A-Za-z])?/gu, ' ').trim();
