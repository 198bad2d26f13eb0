export { patternSize } from './pattern-size.js';
export * from './validator.js';
