export * from './validator.js';
